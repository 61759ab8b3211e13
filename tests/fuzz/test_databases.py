"""Test that SQLite and PostgreSQL give the same answers to the same requests, in any sequence."""

from collections.abc import Iterator
from typing import Any, ClassVar

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.fuzz import shops

# It starts both databases itself.
pytestmark = [pytest.mark.only("postgres"), pytest.mark.timeout(1800)]
EXAMPLES, STEPS = 10, 30
Ids = tuple[int, int]
# Around the limits, so that refusals are as frequent as successes.
quantities = st.sampled_from([-1, 0, 1, 2, 3, 50, 100_000, 100_001, 2**63, "2", "x", 1.5, None])
prices = st.sampled_from([-1, 0, 1, 250, 999, 100_000_000, 100_000_001, 2**62, "7", None])
stocks = st.sampled_from([None, 0, 1, 5, 1000, 10**12, 10**12 + 1, -1])
amounts = st.sampled_from([None, -1, 0, 1, 100, 250, 251, 10**9])
names = st.sampled_from(["Vanilla", "Null", "Straße", "strasse", "ÉCLAIR", "éclair", "\u200b", ""])


class ShopMachine(RuleBasedStateMachine):
    """Orders, payments, prices, stock and keys, in two shops at once."""

    pair: ClassVar[shops.Pair]
    number: ClassVar[int] = 0
    flavors: Bundle[Ids] = Bundle("flavors")
    orders: Bundle[Ids] = Bundle("orders")

    def next_number(self) -> int:
        """Return a number that is new in these shops, which all examples share."""
        type(self).number += 1
        return self.number

    @rule(target=flavors, stock=stocks.filter(lambda n: n is None or 0 <= n <= 10**12))
    def add_flavor(self, stock: int | None) -> Ids:
        body = {"name": f"Flavor {self.next_number()}", "price": 250, "stock": stock}
        return _ids(self.pair.send("POST", "/api/flavors/add/", json=body), "id")

    @rule(name=names, price=prices, stock=stocks)
    def add_odd_flavor(self, name: str, price: Any, stock: Any) -> None:
        body = {"name": name, "price": price, "stock": stock}
        self.pair.send("POST", "/api/flavors/add/", json=body)

    @rule(flavor=flavors, price=prices, archived=st.sampled_from([False, False, True]))
    def edit_flavor(self, flavor: Ids, price: Any, archived: bool) -> None:
        body = {"price": price, "archived": archived}
        self.pair.send("PATCH", "/api/flavors/{}/", flavor, json=body)

    @rule(flavor=flavors, quantity=quantities)
    def receive_stock(self, flavor: Ids, quantity: Any) -> None:
        body = {"quantity": quantity, "reason": "delivered"}
        self.pair.send("POST", "/api/flavors/{}/stock/", flavor, json=body)

    @rule(target=orders, flavor=flavors, quantity=st.sampled_from([1, 2, 3]))
    def place_order(self, flavor: Ids, quantity: int) -> Any:
        return self._place({"flavor": 0, "quantity": quantity}, flavor)

    @rule(target=orders, flavor=flavors, quantity=quantities)
    def place_odd_order(self, flavor: Ids, quantity: Any) -> Any:
        return self._place({"flavor": 0, "quantity": quantity}, flavor)

    @rule(target=orders, flavor=flavors, others=st.integers(1, 3))
    def place_order_repeatedly(self, flavor: Ids, others: int) -> Any:
        """Send a request with a key several times."""
        headers = {"Idempotency-Key": f"key-{self.next_number()}"}
        first, *_ = [
            self._place({"flavor": 0, "quantity": 1}, flavor, headers=headers)
            for _ in range(others + 1)
        ]
        return first

    def _place(self, body: dict[str, Any], flavor: Ids, **call: Any) -> Any:
        answers = self.pair.send("POST", "/api/orders/", flavor, json=body, **call)
        self.pair.settle()
        if answers[0].status_code != 200:
            return hypothesis.stateful.multiple()
        return _ids(answers, "order_id")

    @rule(order=orders)
    def cancel(self, order: Ids) -> None:
        self.pair.send("POST", "/api/orders/{}/cancel/", order)
        self.pair.settle()

    @rule(order=orders)
    def pay(self, order: Ids) -> None:
        self.pair.send("POST", "/api/orders/{}/pay/", order)
        self.pair.settle()

    @rule(order=orders, amount=amounts)
    def refund(self, order: Ids, amount: int | None) -> None:
        body = {"reason": "melted"} | ({} if amount is None else {"amount": amount})
        self.pair.send("POST", "/api/orders/{}/refund/", order, json=body)
        self.pair.settle()

    @rule(order=consumes(orders))
    def read(self, order: Ids) -> None:
        self.pair.send("GET", "/api/orders/{}/", order)

    @invariant()
    def the_shops_agree(self) -> None:
        self.pair.compare()


def _ids(answers: Any, name: str) -> Ids:
    one, other = (answer.json()[name] for answer in answers)
    return one, other


@pytest.fixture(params=["0", "1"], ids=["all succeed", "all are declined"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[shops.Pair]:
    shops.until_tomorrow_is_far()
    settings = {"ICECREAM_PAYMENT_FAILURE_RATE": request.param, "ICECREAM_PAYMENT_DELAY": "0.01"}
    with shops.running(tmp_path_factory.mktemp("pair"), **settings) as pair:
        yield pair
        for shop in pair.shops:
            shop.books()


def test_the_databases_agree(pair: shops.Pair) -> None:
    ShopMachine.pair = pair
    run_state_machine_as_test(
        ShopMachine,
        settings=hypothesis.settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )
