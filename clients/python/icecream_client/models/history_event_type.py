from enum import StrEnum


class HistoryEventType(StrEnum):
    CANCELED = "canceled"
    CANCEL_REQUESTED = "cancel-requested"
    DELIVERED = "delivered"
    FAILED = "failed"
    PACKED = "packed"
    PAID = "paid"
    PARKED = "parked"
    PARTLY_REFUNDED = "partly-refunded"
    PENDING = "pending"
    PLACED = "placed"
    RECONCILED = "reconciled"
    REFUNDED = "refunded"
    REFUNDING = "refunding"
    REFUND_BOOKED = "refund-booked"
    REFUND_DECLINED = "refund-declined"
    REFUND_FAILED = "refund-failed"
    REFUND_ORDERED = "refund-ordered"
    REFUND_REQUESTED = "refund-requested"
    RETRIED = "retried"
    RETURNED = "returned"
    UNFULFILLED = "unfulfilled"

    def __str__(self) -> str:
        return str(self.value)
