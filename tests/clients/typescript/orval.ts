import assert from "node:assert/strict";
import * as api from "./orval/client";
import * as schemas from "./orval/schemas";
import { afterOf, credentials, key, reference, refund, until } from "./shared";

const pair = await api.signIn(schemas.signInBody.parse(credentials));
assert(pair.status === 200);
const { access } = schemas.signInResponse.parse(pair.data);
const signedIn = { headers: { Authorization: `Bearer ${access}` } };

// Header fields of a call are options of `fetch`.
const headers = { ...signedIn.headers, "Idempotency-Key": key, Prefer: "wait=30" };
const body = schemas.placeOrderBody.parse({ flavor: 1, quantity: 2, reference });
const answer = await api.placeOrder(body, { headers });
const placed = schemas.placeOrderResponse.parse(answer.data);
assert.equal(placed.order?.status, "paid");
assert.equal(placed.order.total, 500);
const order = placed.order_id;
const repeated = await api.placeOrder(body, { headers });
assert.equal(schemas.placeOrderResponse.parse(repeated.data).order_id, order);
assert.equal(repeated.headers.get("Idempotent-Replayed"), "true");
assert.throws(() => schemas.placeOrderBody.parse({ flavor: 1, quantity: 0 }));

const second = await api.placeOrder({ lines: [{ flavor: 1, quantity: 1 }], reference }, signedIn);
assert(second.status === 200);
const listed = [];
let after: string | undefined;
do {
  const page = await api.listOrders({ reference, limit: 1, after }, signedIn);
  listed.push(...schemas.listOrdersResponse.parse(page.data).map((one) => one.id));
  after = afterOf(page.headers);
} while (after);
assert.deepEqual(listed, [order, second.data.order_id]);

const stats = await api.salesByFlavor({ interval: "day" }, signedIn);
const report = schemas.salesByFlavorResponse.parse(stats.data);
assert("totals" in report);
assert(report.totals.quantity >= 3);

const refunding = await api.refundOrder(order, schemas.refundOrderBody.parse(refund), signedIn);
assert.equal(refunding.status, 202);
const refunded = await until("refunded", async () =>
  schemas.getOrderResponse.parse((await api.getOrder(order, signedIn)).data),
);
assert.equal(refunded.refunded, 500);

const refused = await api.placeOrder({ flavor: 999999, quantity: 1 }, signedIn);
assert(refused.status === 400);
assert.equal(refused.data.code, "validation-failed");
assert.equal(refused.data.errors?.[0]?.pointer, "/flavor");
