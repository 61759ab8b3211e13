"""Contains all the data models used in inputs/outputs"""

from .account_view import AccountView
from .action import Action
from .allergen import Allergen
from .created_key import CreatedKey
from .created_webhook_endpoint import CreatedWebhookEndpoint
from .credentials import Credentials
from .customer_figures import CustomerFigures
from .customer_to_serve import CustomerToServe
from .dashboard import Dashboard
from .decision import Decision
from .delivery_state import DeliveryState
from .event_type import EventType
from .export_rows_format import ExportRowsFormat
from .export_rows_kind import ExportRowsKind
from .failure import Failure
from .failure_code import FailureCode
from .field_error import FieldError
from .figures import Figures
from .flavor_edit import FlavorEdit
from .flavor_figures import FlavorFigures
from .flavor_report import FlavorReport
from .flavor_sales import FlavorSales
from .flavor_view import FlavorView
from .fulfilment_state import FulfilmentState
from .happening import Happening
from .history_event_type import HistoryEventType
from .import_rows_kind import ImportRowsKind
from .interval import Interval
from .key_scope import KeyScope
from .key_view import KeyView
from .latest import Latest
from .line_to_pack import LineToPack
from .line_to_refund import LineToRefund
from .line_view import LineView
from .method_view import MethodView
from .move import Move
from .move_to import MoveTo
from .move_view import MoveView
from .new_flavor import NewFlavor
from .new_key import NewKey
from .new_line import NewLine
from .new_method import NewMethod
from .new_order import NewOrder
from .new_password import NewPassword
from .new_refund import NewRefund
from .new_refund_reason_code_type_0 import NewRefundReasonCodeType0
from .new_webhook_endpoint import NewWebhookEndpoint
from .order_detail import OrderDetail
from .order_placed import OrderPlaced
from .order_placed_status import OrderPlacedStatus
from .order_sort import OrderSort
from .order_status import OrderStatus
from .order_to_pack import OrderToPack
from .order_view import OrderView
from .outcome import Outcome
from .packed_flavor import PackedFlavor
from .packing_list_view import PackingListView
from .packing_table import PackingTable
from .parked_payment import ParkedPayment
from .payment_kind import PaymentKind
from .payment_state import PaymentState
from .payment_view import PaymentView
from .period import Period
from .period_figures import PeriodFigures
from .period_report import PeriodReport
from .problem import Problem
from .queue import Queue
from .quote import Quote
from .refresh_view import RefreshView
from .refund_reason import RefundReason
from .refunded_line import RefundedLine
from .refused_order import RefusedOrder
from .report import Report
from .retry import Retry
from .revocation import Revocation
from .revoked import Revoked
from .role import Role
from .secret_rotation import SecretRotation
from .state_table import StateTable
from .state_table_actions import StateTableActions
from .state_table_fulfilment import StateTableFulfilment
from .state_table_order import StateTableOrder
from .state_table_payment import StateTablePayment
from .step import Step
from .stock_receipt import StockReceipt
from .stock_view import StockView
from .time_zone_choice import TimeZoneChoice
from .token_pair import TokenPair
from .unit import Unit
from .waiting import Waiting
from .webhook_delivery_view import WebhookDeliveryView
from .webhook_endpoint_edit import WebhookEndpointEdit
from .webhook_endpoint_view import WebhookEndpointView
from .webhook_replay import WebhookReplay
from .webhook_replay_view import WebhookReplayView
from .webhook_secret_view import WebhookSecretView
from .why import Why

__all__ = (
    "AccountView",
    "Action",
    "Allergen",
    "CreatedKey",
    "CreatedWebhookEndpoint",
    "Credentials",
    "CustomerFigures",
    "CustomerToServe",
    "Dashboard",
    "Decision",
    "DeliveryState",
    "EventType",
    "ExportRowsFormat",
    "ExportRowsKind",
    "Failure",
    "FailureCode",
    "FieldError",
    "Figures",
    "FlavorEdit",
    "FlavorFigures",
    "FlavorReport",
    "FlavorSales",
    "FlavorView",
    "FulfilmentState",
    "Happening",
    "HistoryEventType",
    "ImportRowsKind",
    "Interval",
    "KeyScope",
    "KeyView",
    "Latest",
    "LineToPack",
    "LineToRefund",
    "LineView",
    "MethodView",
    "Move",
    "MoveTo",
    "MoveView",
    "NewFlavor",
    "NewKey",
    "NewLine",
    "NewMethod",
    "NewOrder",
    "NewPassword",
    "NewRefund",
    "NewRefundReasonCodeType0",
    "NewWebhookEndpoint",
    "OrderDetail",
    "OrderPlaced",
    "OrderPlacedStatus",
    "OrderSort",
    "OrderStatus",
    "OrderToPack",
    "OrderView",
    "Outcome",
    "PackedFlavor",
    "PackingListView",
    "PackingTable",
    "ParkedPayment",
    "PaymentKind",
    "PaymentState",
    "PaymentView",
    "Period",
    "PeriodFigures",
    "PeriodReport",
    "Problem",
    "Queue",
    "Quote",
    "RefreshView",
    "RefundedLine",
    "RefundReason",
    "RefusedOrder",
    "Report",
    "Retry",
    "Revocation",
    "Revoked",
    "Role",
    "SecretRotation",
    "StateTable",
    "StateTableActions",
    "StateTableFulfilment",
    "StateTableOrder",
    "StateTablePayment",
    "Step",
    "StockReceipt",
    "StockView",
    "TimeZoneChoice",
    "TokenPair",
    "Unit",
    "Waiting",
    "WebhookDeliveryView",
    "WebhookEndpointEdit",
    "WebhookEndpointView",
    "WebhookReplay",
    "WebhookReplayView",
    "WebhookSecretView",
    "Why",
)
