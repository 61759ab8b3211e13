import assert from "node:assert/strict";
import { getOrder, listOrders, placeOrder, refundOrder, salesByFlavor, signIn } from "./hey-api";
import { client } from "./hey-api/client.gen";
import { address, afterOf, credentials, key, reference, refund, until } from "./shared";

client.setConfig({ baseUrl: address });
const { data: pair } = await signIn({ body: credentials, throwOnError: true });
client.setConfig({ auth: pair.access });

const place = () =>
  placeOrder({
    headers: { "Idempotency-Key": key, Prefer: "wait=30" },
    body: { flavor: 1, quantity: 2, reference },
    throwOnError: true,
  });
const { data: placed } = await place();
assert.equal(placed.order?.status, "paid");
assert.equal(placed.order.total, 500);
const order = placed.order_id;
const repeated = await place();
assert.equal(repeated.data.order_id, order);
assert.equal(repeated.response.headers.get("Idempotent-Replayed"), "true");

const body = { lines: [{ flavor: 1, quantity: 1 }], reference };
const { data: second } = await placeOrder({ body, throwOnError: true });
const listed = [];
let after: string | undefined;
do {
  const query = { reference, limit: 1, after };
  const page = await listOrders({ query, throwOnError: true });
  listed.push(...page.data.map((one) => one.id));
  after = afterOf(page.response.headers);
} while (after);
assert.deepEqual(listed, [order, second.order_id]);

const { data: stats } = await salesByFlavor({ query: { interval: "day" }, throwOnError: true });
assert("totals" in stats);
assert(stats.totals.quantity >= 3);

const path = { order };
const refunding = await refundOrder({ path, body: refund, throwOnError: true });
assert.equal(refunding.response.status, 202);
const refunded = await until(
  "refunded",
  async () => (await getOrder({ path, throwOnError: true })).data,
);
assert.equal(refunded.refunded, 500);

const { error } = await placeOrder({ body: { flavor: 999999, quantity: 1 } });
assert.equal(error?.code, "validation-failed");
assert.equal(error.errors?.[0]?.pointer, "/flavor");
