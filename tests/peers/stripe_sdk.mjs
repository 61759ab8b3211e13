// What a shop does with Stripe's SDK for Node: `node stripe_sdk.mjs FOLDER_OF_NODE_MODULES`, with the
// options as JSON on stdin. Prints what happened as JSON. `stripe_sdk.py` does the same in Python.
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const Stripe = createRequire(process.argv[2])("stripe");
const options = JSON.parse(await text(process.stdin));

const client = (url, key = "sk_test_sdk", retries = 0) => {
  const { hostname, port } = new URL(url);
  return new Stripe(key, { host: hostname, port, protocol: "http", maxNetworkRetries: retries });
};

const refusal = async (call) => {
  try {
    await call();
  } catch (error) {
    return {
      class: error.type.replace(/^Stripe/, ""),
      status: error.statusCode ?? null,
      code: error.code ?? null,
      decline_code: error.decline_code ?? null,
      param: error.param ?? null,
      intent: error.payment_intent?.status ?? null,
      says: Boolean(error.message),
    };
  }
  return null;
};

const ids = async (list) => {
  const found = [];
  for await (const one of list) found.push(one.id);
  return found;
};

const stripe = client(options.url);
const charge = (changed = {}, request = {}) =>
  stripe.paymentIntents.create(
    { amount: 1200, currency: "eur", payment_method: "pm_card_visa", confirm: true, ...changed },
    request,
  );

const paid = await charge();
const open = await stripe.paymentIntents.create({ amount: 500, currency: "eur" });
const confirmed = await stripe.paymentIntents.confirm(open.id, { payment_method: "pm_card_visa" });
const declines = {};
for (const card of options.declining) {
  declines[card] = await refusal(() => charge({ payment_method: card }));
}
const key = { idempotencyKey: options.key };
const [first, again] = [await charge({}, key), await charge({}, key)];
const retried = await client(options.faulty, "sk_test_sdk", 2).paymentIntents.create({
  amount: options.reset,
  currency: "eur",
  payment_method: "pm_card_visa",
  confirm: true,
  metadata: { reference: options.key },
});
const part = await stripe.refunds.create({ payment_intent: paid.id, amount: 200 });
const rest = await stripe.refunds.create({ payment_intent: paid.id, expand: ["payment_intent"] });
const customer = `cus_${options.key}`;
const made = [];
for (let number = 0; number < 5; number += 1) {
  made.push((await charge({ customer, metadata: { shop: options.key } })).id);
}
const [oldest] = made;
const refunds = await stripe.refunds.list({
  payment_intent: paid.id,
  expand: ["data.payment_intent"],
});
const query = `metadata['shop']:'${options.key}'`;
const webhooks = stripe.webhooks;
const event = webhooks.constructEvent(options.body, options.signature, options.secret);

console.log(
  JSON.stringify({
    paid: [paid.status, paid.amount_received, paid.client_secret.startsWith(`${paid.id}_secret_`)],
    version: paid.lastResponse.apiVersion === Stripe.API_VERSION,
    confirmed: [open.status, confirmed.id === open.id, confirmed.status],
    declines,
    replayed: [first.id === again.id, again.lastResponse.headers["idempotent-replayed"]],
    reused: await refusal(() => charge({ amount: 1300 }, key)),
    retried: retried.status,
    refunds: [part.amount, part.payment_intent === paid.id, rest.amount, rest.payment_intent.status],
    refunded: await refusal(() => stripe.refunds.create({ payment_intent: paid.id })),
    listed: refunds.data.map((one) => [one.amount, one.payment_intent.id === paid.id]),
    newest_first: (await ids(stripe.paymentIntents.list({ customer, limit: 2 }))).map((id) => made.indexOf(id)),
    before: (
      await ids(stripe.paymentIntents.list({ customer, limit: 2, ending_before: oldest }))
    ).map((id) => made.indexOf(id)),
    searched: (await ids(stripe.paymentIntents.search({ query, limit: 2 }))).map((id) => made.indexOf(id)),
    missing: await refusal(() => stripe.paymentIntents.retrieve("pi_of_nobody")),
    unknown: await refusal(() => charge({ colour: "red" })),
    no_amount: await refusal(() => charge({ amount: undefined })),
    bad_limit: await refusal(() => stripe.refunds.list({ limit: "abc" })),
    unauthenticated: await refusal(() => client(options.url, "sk_live_sdk").refunds.list()),
    limited: await refusal(() => client(options.busy).refunds.list()),
    old_version: (await stripe.refunds.list({}, { apiVersion: "2020-08-27" })).lastResponse.apiVersion,
    bad_version: await refusal(() => stripe.refunds.list({}, { apiVersion: "newest" })),
    event: [event.type, event.data.object.status],
    forged: await refusal(() =>
      webhooks.constructEvent(options.body.replace("succeeded", "canceled"), options.signature, options.secret),
    ),
  }),
);
