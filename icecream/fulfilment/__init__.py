"""Fulfilment: packing, delivering and taking back the goods of orders, beside their payment."""
