import assert from "node:assert/strict";
import { address, afterOf, credentials, key, reference, refund, until } from "./shared";
import * as client from "./typescript-fetch";

const basePath = address;
const signingIn = new client.SigningInApi(new client.Configuration({ basePath }));
const { access } = await signingIn.signIn({ credentials });
const configuration = new client.Configuration({ basePath, accessToken: access });
const orders = new client.OrdersApi(configuration);

const request = {
  idempotencyKey: key,
  prefer: "wait=30",
  newOrder: { flavor: 1, quantity: 2, reference },
};
const placed = await orders.placeOrder(request);
assert.equal(placed.order?.status, "paid");
assert.equal(placed.order.total, 500);
const order = placed.orderId;
const repeated = await orders.placeOrderRaw(request);
assert.equal((await repeated.value()).orderId, order);
assert.equal(repeated.raw.headers.get("Idempotent-Replayed"), "true");

const lines = [{ flavor: 1, quantity: 1 }];
const second = await orders.placeOrder({ newOrder: { lines, reference } });
const listed = [];
let after: string | undefined;
do {
  const page = await orders.listOrdersRaw({ reference, limit: 1, after });
  listed.push(...(await page.value()).map((one) => one.id));
  after = afterOf(page.raw.headers);
} while (after);
assert.deepEqual(listed, [order, second.orderId]);

const stats = await new client.StatsApi(configuration).salesByFlavor({ interval: "day" });
assert("totals" in stats);
assert(stats.totals.quantity >= 3);

const newRefund = { reason: refund.reason, reasonCode: refund.reason_code };
const refunding = await orders.refundOrderRaw({ order, newRefund });
assert.equal(refunding.raw.status, 202);
const refunded = await until("refunded", () => orders.getOrder({ order }));
assert.equal(refunded.refunded, 500);

const refused = await orders
  .placeOrder({ newOrder: { flavor: 999999, quantity: 1 } })
  .catch((error: unknown) => error);
assert(refused instanceof client.ResponseError);
const problem = client.ProblemFromJSON(await refused.response.json());
assert.equal(problem.code, "validation-failed");
assert.equal(problem.errors?.[0]?.pointer, "/flavor");
