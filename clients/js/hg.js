// Headgate in a page; see README.md. An event has an id: sent twice, it counts once.
(() => {
  const BATCH = 50, KEPT = 500, QUEUE = "hg.queue", ID = "hg.id";
  const script = document.currentScript, early = (window.hg || 0).q || [];
  let options = {}, allowed, anonymous, user, failures = 0, timer = 0, queue = [], sending = [], place, referrer = document.referrer;

  const random = () => [...crypto.getRandomValues(new Uint32Array(4))].map((n) => n.toString(36)).join("");
  const objects = () => navigator.globalPrivacyControl || navigator.doNotTrack == "1";
  const without = (events, gone) => events.filter((event) => !gone.some((other) => other.messageId == event.messageId));

  const attempt = (act) => { try { return act(); } catch {} };
  const kept = () => attempt(() => JSON.parse(localStorage.getItem(QUEUE))) || [];
  const keep = (events) =>
    attempt(() => localStorage.setItem(QUEUE, JSON.stringify(events.slice(-KEPT))));
  const keepQueue = () => keep([...without(kept(), queue), ...queue]);

  const visitor = () => {
    anonymous ||= attempt(() => sessionStorage.getItem(ID)) || random();
    attempt(() => sessionStorage.setItem(ID, anonymous));
    return anonymous;
  };
  const encode = (events) => {
    events.forEach((event) => event.anonymousId ||= visitor());
    return JSON.stringify({ writeKey: options.key, sentAt: new Date(), batch: events });
  };

  const flush = async () => {
    clearTimeout(timer);
    timer = 0;
    if (!allowed || objects() || sending.length || !queue.length) return;
    const batch = sending = queue.slice(0, BATCH), body = encode(batch);
    let again = 1, wait = 0;
    try {
      const { status, headers } = await fetch(options.api + "/v1/batch", {
        method: "POST", body, credentials: "omit",
        keepalive: !failures && body.length < 2e4,
      });
      again = status > 499 || status == 429 || status == 408;
      wait = headers.get("Retry-After") * 1e3;
    } catch {}
    sending = [];
    if (again) {
      if (allowed) keepQueue();
      timer = setTimeout(flush, Math.max(wait, Math.min(6e4, 500 * 2 ** failures++) * (1 + Math.random())));
    } else {
      failures = 0;
      queue = without(queue, batch);
      const before = kept();
      if (before.length) keep(without(before, batch));
      soon();
    }
  };
  const soon = () => {
    if (queue.length > 4 && !failures) flush();
    else if (queue.length) timer ||= setTimeout(flush, 5e3);
  };
  const leave = () => {
    const left = without(queue, sending);
    if (!allowed || objects() || !queue.length) return;
    const sent = !left.length || navigator.sendBeacon(options.api + "/v1/batch", encode(left));
    if (!sent || failures || !navigator.onLine) keepQueue();
    else queue = sending;
  };

  const add = (type, more) => {
    if (objects()) return;
    const { href, pathname, search } = location, campaign = {};
    for (const [name, value] of new URLSearchParams(search))
      if (/^utm_./.test(name)) campaign[name == "utm_campaign" ? "name" : name.slice(4)] = value;
    queue.push({
      type, ...more, userId: user, messageId: random(), timestamp: new Date(),
      context: { campaign, page: { url: href, path: pathname, title: document.title, referrer } },
    });
    if (queue.length > KEPT) queue.shift();
    soon();
  };
  const page = (properties) => {
    place = location.href.split("#")[0];
    add("page", { properties });
  };
  const moved = () => setTimeout(() => {
    const before = place;
    if (location.href.split("#")[0] != before) {
      referrer = before;
      page();
    }
  });
  const resume = () => {
    if (objects()) return;
    queue = [...without(kept(), queue), ...queue];
    soon();
  };

  const hg = window.hg = (event, properties) => add("track", { event, properties });
  hg.page = page;
  hg.flush = flush;
  hg.identify = (id, traits) => {
    user = id;
    add("identify", { traits });
  };
  hg.consent = (given) => {
    allowed = given;
    if (given) return resume();
    queue = [];
    anonymous = 0;
    attempt(() => {
      sessionStorage.removeItem(ID);
      localStorage.removeItem(QUEUE);
    });
  };
  hg.start = (given) => {
    options = given;
    if (allowed = given.consent != "ask") resume();
    addEventListener("online", () => { failures = 0; flush(); });
    addEventListener("pagehide", leave);
    addEventListener("visibilitychange", () => document.hidden && leave());
    if (given.pages == "off") return;
    page();
    for (const name of ["pushState", "replaceState"]) {
      const go = history[name];
      history[name] = function () {
        go.apply(this, arguments);
        moved();
      };
    }
    addEventListener("popstate", moved);
  };
  if (script && script.dataset.key) hg.start({ api: new URL(script.src).origin, ...script.dataset });
  early.forEach((call) => hg(...call));
})();
