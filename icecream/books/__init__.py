"""Stock and totals: every movement, in one lock order (flavors by id, then totals sorted)."""

from icecream.books.lines import Line, save_shares, share
from icecream.books.stock import Shelf, UnknownFlavor, give_back, hold, look, receive
from icecream.books.totals import Sale, count, counted

__all__ = [
    "Line",
    "Sale",
    "Shelf",
    "UnknownFlavor",
    "count",
    "counted",
    "give_back",
    "hold",
    "look",
    "receive",
    "save_shares",
    "share",
]
