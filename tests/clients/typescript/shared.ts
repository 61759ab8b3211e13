// What the programs share: `node PROGRAM ADDRESS PASSWORD REFERENCE`.

export const [address, password, reference] = process.argv.slice(2) as [string, string, string];
export const credentials = { username: "admin", password };
export const key = crypto.randomUUID();
export const refund = { reason: "melted on the way", reason_code: "melted" } as const;

/** Returns the parameter `after` of the next page, from the header field `Link` (RFC 8288). */
export function afterOf(headers: Headers): string | undefined {
  const next = /<([^>]*)>; *rel="next"/.exec(headers.get("Link") ?? "");
  return next?.[1] ? new URL(next[1], address).searchParams.get("after") ?? undefined : undefined;
}

/** Reads an order until it has this status; its refund takes a moment. */
export async function until<T extends { status: string }>(
  status: T["status"],
  read: () => Promise<T>,
): Promise<T> {
  for (;;) {
    const order = await read();
    if (order.status === status) return order;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
