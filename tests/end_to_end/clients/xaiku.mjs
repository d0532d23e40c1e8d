// The calls of the published Xaiku client, by its documented fields and headers. It runs in a browser and in Node.

const WEIGHT = 5;

export async function start(base, key) {
  const answer = await fetch(`${base}/api/v1/experiments`, {
    headers: { Accept: "application/json", "X-public-key": key, "X-experiment-ids": "", "X-xaiku-test": "true" },
  });
  const { experiments } = await answer.json();
  const chosen = {};
  for (const [id, variants] of Object.entries(experiments)) {
    // It throws where this is no array, or an empty one.
    const total = variants.reduce((sum, variant) => sum + (variant.weight ?? WEIGHT), 0);
    let left = total / 2;
    const variant = variants.find((each) => (left -= each.weight ?? WEIGHT) < 0) ?? variants.reduce((first) => first);
    chosen[id] = { id: variant.id, control: variant.control, headline: variant.parts?.headline, total };
  }
  return { status: answer.status, experiments, chosen };
}

export function event(eventName, chosen) {
  const [experimentId, variant] = Object.entries(chosen)[0];
  return {
    eventName,
    experimentId,
    variantId: variant.id,
    sessionId: "session-1",
    userId: "",
    orgId: null,
    framework: "vanilla",
    frameworkVersion: "1.1.1",
    domain: "shop.example",
    pathname: "/pricing",
    referrer: "",
    userAgent: "a driver",
    windowDimensions: [800, 600],
    screenResolution: "1600x1200",
    country: "NL",
    language: "en-US",
    partId: "headline",
    value: 9.5,
    rating: 4,
    comment: "caf\u00e9 \ud83c",
    conversion: true,
    timeToConversion: 12.25,
    loadTime: -3,
    timeOnPage: 1e3,
    scrollDepth: 100.00000000000001,
    utm_source: "news",
    utm_medium: "",
  };
}

export async function send(base, key, events) {
  const answer = await fetch(`${base}/api/v1/analytics`, {
    method: "POST",
    headers: { Accept: "application/json", "Content-Type": "application/json", "X-public-key": key },
    body: JSON.stringify({ events }),
    keepalive: true,
  });
  return { status: answer.status, body: await answer.json(), receipt: answer.headers.get("Headgate-Receipt") !== null };
}

export async function unload(base, key, events) {
  const body = JSON.stringify({ events, pkey: key });
  if (globalThis.document) return navigator.sendBeacon(`${base}/api/v1/analytics`, body);
  const headers = { "Content-Type": "text/plain;charset=UTF-8" };
  return (await fetch(`${base}/api/v1/analytics`, { method: "POST", headers, body })).ok;
}

export async function run(base, key, where) {
  const started = await start(base, key);
  // Its trackView() without data: it names no experiment.
  const bare = { eventName: `bare_${where}`, sessionId: "session-1", userId: "" };
  const sent = await send(base, key, [event(`sent_${where}`, started.chosen), bare]);
  const left = await unload(base, key, [event(`left_${where}`, started.chosen)]);
  const wrong = await send(base, "nonsense", [bare]);
  return { started, sent, left, wrong };
}
