import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "./openapi-typescript";
import { address, afterOf, credentials, key, reference, refund, until } from "./shared";

const api = createClient<paths>({ baseUrl: address });

const pair = await api.POST("/api/token", { body: credentials });
assert(pair.data);
const bearer = `Bearer ${pair.data.access}`;
api.use({ onRequest: ({ request }) => request.headers.set("Authorization", bearer) });

const header = { "Idempotency-Key": key, Prefer: "wait=30" };
const place = () =>
  api.POST("/api/orders", { params: { header }, body: { flavor: 1, quantity: 2, reference } });
const placed = await place();
assert(placed.data?.order);
assert.equal(placed.data.order.status, "paid");
assert.equal(placed.data.order.total, 500);
const order = placed.data.order_id;
const repeated = await place();
assert.equal(repeated.data?.order_id, order);
assert.equal(repeated.response.headers.get("Idempotent-Replayed"), "true");

const lines = [{ flavor: 1, quantity: 1 }];
const second = await api.POST("/api/orders", { body: { lines, reference } });
const listed = [];
let after: string | undefined;
do {
  const query = { reference, limit: 1, after };
  const page = await api.GET("/api/orders", { params: { query } });
  assert(page.data);
  listed.push(...page.data.map((one) => one.id));
  after = afterOf(page.response.headers);
} while (after);
assert.deepEqual(listed, [order, second.data?.order_id]);

const stats = await api.GET("/api/stats", { params: { query: { interval: "day" } } });
assert(stats.data && "totals" in stats.data);
assert(stats.data.totals.quantity >= 3);

const path = { order };
const refunding = await api.POST("/api/orders/{order}/refund", { params: { path }, body: refund });
assert.equal(refunding.response.status, 202);
const refunded = await until("refunded", async () => {
  const found = await api.GET("/api/orders/{order}", { params: { path } });
  assert(found.data);
  return found.data;
});
assert.equal(refunded.refunded, 500);

const refused = await api.POST("/api/orders", { body: { flavor: 999999, quantity: 1 } });
assert.equal(refused.error?.code, "validation-failed");
assert.equal(refused.error?.errors?.[0]?.pointer, "/flavor");
