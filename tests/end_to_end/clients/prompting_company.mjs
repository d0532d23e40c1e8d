// The calls of The Prompting Company's published client, by its documented fields and headers. It runs in a browser and
// in Node.

const RETRIED = new Set([408, 409, 429]);
const MAX_RETRIES = 2;

function headers(key, slug, attempt) {
  return {
    Accept: "application/json",
    "Content-Type": "application/json",
    "X-Stainless-Lang": "js",
    "X-Stainless-Package-Version": "0.1.0",
    "X-Stainless-OS": "Unknown",
    "X-Stainless-Arch": "unknown",
    "X-Stainless-Runtime": globalThis.document ? "browser:chrome" : "node",
    "X-Stainless-Runtime-Version": "1",
    "X-Stainless-Retry-Count": String(attempt),
    "X-Stainless-Timeout": "60",
    "X-Tpc-Product-Slug": slug,
    "x-api-key": key,
  };
}

export async function capture(base, key, slug, event) {
  const body = JSON.stringify(event);
  for (let attempt = 0; ; attempt++) {
    const answer = await fetch(`${base}/api/v1/analytics/events`, { method: "POST", headers: headers(key, slug, attempt), body });
    const said = answer.headers.get("x-should-retry");
    const retried = said === null ? RETRIED.has(answer.status) || answer.status >= 500 : said === "true";
    if (answer.ok || !retried || attempt === MAX_RETRIES) {
      return { status: answer.status, body: await answer.json(), attempts: attempt + 1 };
    }
    await new Promise((wake) => setTimeout(wake, 1000 * Number(answer.headers.get("Retry-After") ?? 0.5)));
  }
}

export function visit(eventId) {
  return {
    event: "page_visit",
    eventId,
    occurredAt: new Date().toISOString(),
    sessionId: "session-1",
    anonymousId: null,
    page: {
      href: "https://shop.example/pricing?ids[]=1&q=a|b#!/top",
      domain: "shop.example",
      pathname: "/pricing",
      title: "Pricing",
      canonicalUrl: null,
    },
    request: { referrer: null, userAgent: "a driver", clientIp: null, method: "GET" },
    sdk: { name: "driver", version: "0.1.0", runtime: "test" },
    properties: { plan: "pro", seats: 3, trial: false, coupon: null },
  };
}

export async function run(base, key, slug, where) {
  const event = visit(`visit-${where}`);
  const first = await capture(base, key, slug, event);
  const again = await capture(base, key, slug, event);
  const wrong = await capture(base, key, slug, { ...event, event: "other" });
  const closed = await capture(base, "org_live_wrong", slug, event);
  return { first, again, wrong, closed };
}
