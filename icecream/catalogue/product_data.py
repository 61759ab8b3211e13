"""Optional product data of a flavor: what one unit is, its allergens, and how it can be ordered."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from icecream import constraints, errors, fields
from icecream.tables import MAX_QUANTITY, MAX_STOCK, UNITS

# The substances of Annex II of Regulation (EU) No 1169/2011, in its order.
ALLERGENS = (
    "cereals-containing-gluten",
    "crustaceans",
    "eggs",
    "fish",
    "peanuts",
    "soybeans",
    "milk",
    "nuts",
    "celery",
    "mustard",
    "sesame",
    "sulphites",
    "lupin",
    "molluscs",
)
# One million litres.
MAX_NET_CONTENT = 10**9
Sku = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[!-~]+(?!\n)$",
        extra={"words": "{} without spaces"},
        description="Your article number (stock keeping unit); unique.",
        examples=["VAN-5L"],
        title="Sku",
    ),
]
Unit = Annotated[
    str,
    Meta(
        extra={"words": constraints.describe_choice(UNITS)},
        extra_json_schema={"enum": list(UNITS)},
        description="What a quantity of 1 is.",
        title="Unit",
    ),
]
PackSize = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_QUANTITY,
        description="The number of pieces in one unit.",
        examples=[6],
        title="PackSize",
    ),
]
NetContent = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_NET_CONTENT,
        description="The content of one unit, in millilitres.",
        title="NetContent",
    ),
]
Allergen = Annotated[str, fields.words("Allergen", ALLERGENS)]
Allergens = Annotated[
    list[Allergen],
    Meta(
        max_length=len(ALLERGENS),
        description="Annex II of Regulation (EU) No 1169/2011; null: not stated, empty: none.",
        title="Allergens",
    ),
]
OrderQuantity = Annotated[int, Meta(ge=1, le=MAX_QUANTITY, title="OrderQuantity")]
Threshold = Annotated[
    int,
    Meta(
        ge=0,
        le=MAX_STOCK,
        description="The stock is low at this quantity or less.",
        title="LowStockThreshold",
    ),
]


class ProductData(Struct, kw_only=True):
    """The optional fields of a flavor that staff set; null removes a value."""

    sku: Sku | UnsetType | None = UNSET
    unit: Unit | UnsetType | None = UNSET
    pack_size: PackSize | UnsetType | None = UNSET
    net_content_ml: NetContent | UnsetType | None = UNSET
    allergens: Allergens | UnsetType | None = UNSET
    on_sale_from: fields.Day | UnsetType | None = UNSET
    on_sale_to: fields.Day | UnsetType | None = UNSET
    min_quantity: OrderQuantity | UnsetType | None = UNSET
    quantity_multiple: OrderQuantity | UnsetType | None = UNSET
    low_stock_threshold: Threshold | UnsetType | None = UNSET

    def check(self) -> None:
        """Check and normalize the values.

        Raises:
            constraints.InvalidValue: a word is not one of those that are allowed.
        """
        if isinstance(self.unit, str) and self.unit not in UNITS:
            raise constraints.InvalidValue("unit", f"must be {constraints.describe_choice(UNITS)}")
        if self.allergens:
            unknown = [one for one in self.allergens if one not in ALLERGENS]
            if unknown:
                choice = constraints.describe_choice(ALLERGENS)
                raise constraints.InvalidValue("allergens", f"must each be {choice}")
            # Each once, in the order of the regulation.
            self.allergens = [one for one in ALLERGENS if one in self.allergens]


def require_season(values: dict[str, Any]) -> None:
    """Refuse a season that ends before it begins.

    Raises:
        errors.ValidationFailed: the last day is before the first one.
    """
    first, last = values.get("on_sale_from"), values.get("on_sale_to")
    if first and last and last < first:
        detail = f"on_sale_to must not be before on_sale_from ({first})."
        raise errors.ValidationFailed("/on_sale_to", "invalid", detail)
