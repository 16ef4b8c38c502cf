// What the pages gain from script. All of them work without it; the server alone keeps a click
// from running twice. No inline script, no eval: the pages' policy is script-src 'self'.
"use strict";

(() => {
  const UNKNOWN =
    "We do not know whether your click reached us. Clicking again is safe: this form cannot run twice.";
  const LOST =
    "We lost the connection — we do not know whether your click reached us. " +
    "Clicking again is safe: this form cannot run twice.";

  // The server's clock decides what "14 seconds ago" means, not this machine's.
  const skew = Number(document.documentElement.dataset.now) * 1000 - Date.now() || 0;
  const now = () => Date.now() + skew;

  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children.filter(Boolean));
    return element;
  }

  let saying;
  function say(text) {
    const status = document.getElementById("status");
    if (!status) return;
    clearTimeout(saying);
    status.textContent = "";
    saying = setTimeout(() => { status.textContent = text; }, 60);
  }

  function showBanner(tone, heading, text, ...deeds) {
    const banner = make("div", { id: "banner", tabindex: "-1" },
      make("section", { class: `outcome quiet is-${tone}`, "aria-labelledby": "banner-heading" },
        make("h2", { id: "banner-heading" }, heading),
        make("p", {}, text),
        deeds.length > 0 && make("p", { class: "deeds" }, ...deeds)));
    const old = document.getElementById("banner");
    if (old) old.replaceWith(banner);
    else document.querySelector("main").prepend(banner);
    banner.focus();
    banner.scrollIntoView({ block: "nearest" });
  }

  const link = (href, text) => make("a", { href, class: "btn btn-outline-secondary" }, text);
  const here = () => location.pathname + location.search;
  const again = (form) =>
    form.id && make("button", { type: "submit", form: form.id, class: "btn btn-primary" }, "Try again");

  // (a) A page taken back from memory is out of date: ask the server.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  // (b) The answer to a click was lost.
  function answerLost(form) {
    showBanner("doubt", "We lost the connection", UNKNOWN,
      again(form), link(here(), "See what stands now"));
    say(LOST);
  }

  function answerRefused(form, code) {
    const why = {
      401: "You have been signed out.",
      403: "You have been signed out, or you may not do this.",
      404: "This page is no longer there.",
      429: "Too many requests came in a short time. Wait a minute, then try again.",
    }[code] || "The console did not take this request.";
    showBanner("refused", "Not done", `${why} Nothing was run.`, link(here(), "Load this page again"));
    say(`Not done. ${why}`);
  }

  // (c) Live progress. The page holds the last whole truth; a failed poll says so and tries on.
  let tries = 0;
  let retry;
  const isLive = (element) => element instanceof Element && element.matches("[data-live]");

  function liveLost(section) {
    const shown = Date.parse(section.dataset.asOf) || now();
    const clock = new Date(shown).toISOString().slice(11, 19);
    if (!document.getElementById("live-lost")) {
      const text = "Live updates stopped: the line to the console is lost. " +
        `What you see is from ${clock} UTC.`;
      section.before(make("div", { id: "live-lost", class: "lost" },
        make("span", {}, text), make("a", { href: here() }, "Load the page again")));
      section.classList.add("is-stale");
      say(text);
    }
    tries += 1;
    clearTimeout(retry);
    retry = setTimeout(poll, Math.min(20, 2 ** tries) * 1000);
  }

  function poll() {
    clearTimeout(retry);
    const section = document.querySelector("[data-live][data-hx-get]");
    if (!section) return;
    htmx.ajax("GET", section.dataset.hxGet, { source: section, target: section, swap: "outerHTML" })
      .catch(() => {});
  }

  function liveBack() {
    clearTimeout(retry);
    tries = 0;
    const notice = document.getElementById("live-lost");
    if (!notice) return;
    notice.remove();
    document.querySelectorAll(".is-stale").forEach((section) => section.classList.remove("is-stale"));
    say("Live updates are back.");
  }
  addEventListener("online", () => { if (tries > 0) poll(); });

  const isWholePage = (xhr) => /^\s*<!doctype/i.test(xhr.responseText);
  const asker = (event) => event.detail.requestConfig?.elt ?? event.detail.elt;
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      const element = asker(event);
      if (isLive(element)) liveLost(element);
      else if (element instanceof HTMLFormElement) answerLost(element);
    });
  }

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, requestConfig } = event.detail;
    const element = requestConfig.elt;
    const wholePage = isWholePage(xhr);
    if (isLive(element)) {
      // Signed out, or the console is down: its page is no fragment of this one.
      if (xhr.status >= 400 || wholePage) {
        event.detail.shouldSwap = false;
        liveLost(element);
      } else {
        liveBack();
      }
    } else if (wholePage) {
      event.detail.shouldSwap = false;
      if (xhr.status < 400) location.assign(xhr.responseURL);
      else if (xhr.status >= 500) answerLost(element);
      else answerRefused(element, xhr.status);
    }
  });

  document.addEventListener("htmx:responseError", (event) => {
    const element = asker(event);
    const { xhr } = event.detail;
    if (isLive(element) || xhr.status >= 500 || isWholePage(xhr)) return;
    answerRefused(element, xhr.status);
  });

  // What a swap brings: announce a change once, keep what was unfolded, focus an answer.
  let said = document.querySelector("[data-live]")?.dataset.say;
  const unfolded = new Set();
  document.addEventListener("toggle", (event) => {
    const { id, open } = event.target;
    if (id) unfolded[open ? "add" : "delete"](id);
  }, true);

  document.addEventListener("htmx:load", (event) => {
    const root = event.detail.elt;
    if (root === document.body) return;
    unfolded.forEach((id) => { const part = root.querySelector(`#${CSS.escape(id)}`); if (part) part.open = true; });
    const words = isLive(root) ? root.dataset.say : undefined;
    if (words && words !== said) { said = words; say(words); }
    if (root.id === "banner" && root.hasChildNodes()) {
      root.setAttribute("tabindex", "-1");
      root.focus();
    }
    enliven(root);
  });

  // (d) Copy: the button is hidden until there is script to serve it.
  function enliven(root) {
    root.querySelectorAll("[data-copy]").forEach((button) => { button.hidden = false; });
    tick(root);
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const text = button.dataset.copy || location.origin + here();
    const label = (button.dataset.label ||= button.textContent);
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      say("Copied.");
    } catch {
      button.textContent = "Not copied";
      say("Not copied: the browser does not allow it.");
    }
    setTimeout(() => { button.textContent = label; }, 2000);
  });

  // (e) Relative times beside the absolute ones, which stay as the server wrote them.
  const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  function relative(moment) {
    const seconds = Math.round((now() - moment) / 1000);
    const size = Math.abs(seconds);
    if (size < 1) return "(now)";
    const [unit, length] = UNITS.find(([, length]) => size >= length);
    const count = Math.floor(size / length);
    const words = `${count} ${unit}${count === 1 ? "" : "s"}`;
    return seconds < 0 ? `(in ${words})` : `(${words} ago)`;
  }

  function tick(root) {
    root.querySelectorAll("[data-ago]").forEach((place) => {
      const moment = Date.parse(place.parentElement.querySelector("time")?.dateTime);
      const text = Number.isNaN(moment) ? "" : relative(moment);
      if (text && place.textContent !== text) place.textContent = text;
    });
  }

  enliven(document);
  setInterval(() => { if (!document.hidden) tick(document); }, 1000);
})();
