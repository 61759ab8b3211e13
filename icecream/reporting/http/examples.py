"""The examples in the OpenAPI document."""

FIGURES = {
    "quantity": 4,
    "orders": 2,
    "revenue": 1000,
    "refunds": 250,
    "failure_rate": 0.0,
}
STOCKED = FIGURES | {
    "flavor": 2,
    "name": "Choclate",
    "stock": 40,
    "stock_days": 280.0,
}
WAITING = {"order": 3, "created_at": "2025-05-13T10:22:06.428877Z", "seconds": 1.25}
QUEUE = {"due": 1, "in_flight": 1, "later": 0, "parked": 0, "oldest_due": 0.4}
SALES = [{"flavor__name": "Choclate", "total_qty_ordered": 4}]
DASHBOARD = {
    "from": "2025-05-01",
    "to": "2025-06-01",
    "previous_from": "2025-03-31",
    "previous_to": "2025-05-01",
    "previous_until": "2025-04-30T10:30:00Z",
    "interval": "day",
    "time_zone": "UTC",
    "currency": "EUR",
    "totals": FIGURES,
    "previous": FIGURES,
    "periods": [FIGURES | {"start": "2025-05-13"}],
    "flavors": [STOCKED],
    "outcomes": [{"status": "paid", "orders": 2, "total": 1000}],
    "previous_outcomes": [],
    "low_stock": [],
    "queue": QUEUE,
    "oldest_pending": WAITING,
    "latest_orders": [],
    "parked_payments": [],
}
