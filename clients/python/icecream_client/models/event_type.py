from enum import StrEnum


class EventType(StrEnum):
    ORDER_CANCELED = "order.canceled"
    ORDER_CANCEL_REQUESTED = "order.cancel_requested"
    ORDER_DELIVERED = "order.delivered"
    ORDER_FAILED = "order.failed"
    ORDER_PACKED = "order.packed"
    ORDER_PAID = "order.paid"
    ORDER_PARKED = "order.parked"
    ORDER_PARTLY_REFUNDED = "order.partly_refunded"
    ORDER_PENDING = "order.pending"
    ORDER_PLACED = "order.placed"
    ORDER_RECONCILED = "order.reconciled"
    ORDER_REFUNDED = "order.refunded"
    ORDER_REFUNDING = "order.refunding"
    ORDER_REFUND_BOOKED = "order.refund_booked"
    ORDER_REFUND_DECLINED = "order.refund_declined"
    ORDER_REFUND_FAILED = "order.refund_failed"
    ORDER_REFUND_ORDERED = "order.refund_ordered"
    ORDER_REFUND_REQUESTED = "order.refund_requested"
    ORDER_RETRIED = "order.retried"
    ORDER_RETURNED = "order.returned"
    ORDER_UNFULFILLED = "order.unfulfilled"

    def __str__(self) -> str:
        return str(self.value)
