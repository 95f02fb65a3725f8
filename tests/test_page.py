"""The page at /: nothing from elsewhere, nothing inline, and what a reader does by keyboard, pointer and address."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from serving import refused, serving

import pyrec.serve.page
from pyrec.data import Interactions
from pyrec.data.synthetic import synthetic
from pyrec.models import EASE, LightGCN, Popularity
from pyrec.serve.page import FILES

FOLDER = Path(pyrec.serve.page.__file__).parent
TEXTS = {name: (FOLDER / name).read_text(encoding="utf-8") for name in FILES}
HTML = TEXTS["index.html"]
SCRIPTS = {name: text for name, text in TEXTS.items() if name.endswith(".js")}
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
EVIL = '<img src=x onerror="document.title=1"><script>document.title=2</script>&amp;'
WAIT_MS = 10_000
LARGE = 2**62 + 1


class Tags(HTMLParser):
    """The elements of the page, by tag with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(HTML)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


TAGS = Tags().found
IDS = [attributes["id"] for _, attributes in TAGS if "id" in attributes]


# What always holds.


def test_the_files_are_those_that_are_served():
    there = {path.name for path in FOLDER.iterdir() if path.is_file() and path.suffix != ".py"}
    assert there == set(FILES)


def test_nothing_comes_from_elsewhere():
    for name, text in TEXTS.items():
        urls = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", text)) - {"http://www.w3.org/2000/svg"}
        assert not urls, f"{name} names {urls}"
        assert not re.search(r"@import|url\(|expression\(", text), name
    for tag, attributes in TAGS:
        for name in ("src", "href", "srcset", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith("#") or value.removeprefix("page/") in FILES, (
                tag,
                value,
            )


def test_nothing_is_inline():
    assert not re.search(r"<style|\sstyle=|javascript:", HTML)
    for tag, attributes in TAGS:
        assert not [name for name in attributes if name.startswith("on")], tag
        if tag == "script":
            assert attributes["src"].startswith("page/")


def test_scripts_write_text_alone():
    for name, text in SCRIPTS.items():
        for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("):
            assert sink not in text, f"{name} has {sink}"


def test_every_id_of_a_script_is_in_the_page():
    assert len(IDS) == len(set(IDS))
    for name, text in SCRIPTS.items():
        asked = set(re.findall(r"(?:element|getElementById)\(\"([^\"]+)\"\)", text))
        assert asked <= set(IDS), f"{name} asks for {asked - set(IDS)}"
    for name in ("user", "item", "only", "never"):  # ids that a script puts together
        assert {name, f"{name}-options"} <= set(IDS)


def test_classes_of_scripts_are_in_the_page_or_its_style():
    classes = set(re.findall(r"\.([a-z]+)[ ,.:{\[>]", TEXTS["page.css"]))
    there = classes | {one for _, attributes in TAGS for one in (attributes.get("class") or "").split()}
    for name, text in SCRIPTS.items():
        asked = set(re.findall(r"querySelector\(\"\.([a-z]+)\"\)", text))
        assert asked <= there, f"{name} asks for {asked - there}"


def test_every_field_has_a_label():
    labelled = {attributes["for"] for tag, attributes in TAGS if tag == "label" and "for" in attributes}
    within = set(re.findall(r"<label[^>]*>[^<]*<input id=\"([^\"]+)\"", HTML))
    fields = {attributes["id"] for tag, attributes in TAGS if tag == "input"}
    assert fields == labelled | within
    assert {attributes.get("aria-live") for _, attributes in TAGS} >= {"polite"}
    assert dict(TAGS)["html"]["lang"] == "en"


def channel(value: int) -> float:
    share = value / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def luminance(colour: str) -> float:
    red, green, blue = (channel(int(colour[at : at + 2], 16)) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read(scheme):
    blocks = re.findall(r":root \{(.*?)\}", TEXTS["page.css"], re.S)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", blocks[scheme]))
    for ink in ("ink", "muted", "accent"):
        for under in ("page", "panel"):
            assert contrast(colours[ink], colours[under]) >= 4.5, (ink, under)
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
    assert contrast(colours["wrong"], colours["wrong-panel"]) >= 4.5
    for edge in ("edge", "accent", "below"):
        assert contrast(colours[edge], colours["page"]) >= 3


# What is sent.


def evil() -> Interactions:
    """Interactions whose ids are markup, commas and percent signs; some users have none."""
    x = synthetic(30, 24, interactions_per_user=6, num_groups=3)
    return Interactions.from_arrays(
        [f"u{user},%2C{EVIL}" for user in x.users],
        [f"i{item},%2C{EVIL}" for item in x.items],
        user_ids=[*(f"u{user},%2C{EVIL}" for user in range(30)), "cold"],
        item_ids=[f"i{item},%2C{EVIL}" for item in range(24)],
    )


def films() -> Interactions:
    """Whole numbers, one of them beyond what a float holds; user 999 has nothing."""
    x = synthetic(40, 30, interactions_per_user=8, num_groups=3)
    assert {4, 5, 6} <= set(x.items[1:].tolist()) - {int(x.items[0])}
    items = np.where(x.items == x.items[0], LARGE, x.items.astype(np.int64))
    return Interactions.from_arrays(
        x.users + 10, items, times=np.arange(len(x)), user_ids=[*range(10, 50), 999]
    )


NAMES = {raw: f"Film {raw}" for raw in range(30)} | {LARGE: "The large one", 5: "Léon"}


@pytest.fixture(scope="module")
def client():
    with serving(LightGCN(epochs=2, embedding_size=8, n_layers=2).fit(films()), item_names=NAMES) as client:
        yield client


def test_a_browser_gets_the_page_with_a_strict_policy(client):
    answer = client.get("/", headers=BROWSER)
    assert answer.text == HTML
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert not re.search(r"unsafe|\*|https?:", str(policy))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get("/", headers={"accept": "application/json"}).json()["name"] == "pyrec"


def test_parts_are_sent_with_their_type_and_once(client):
    kinds = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    for name in set(FILES) - {"index.html"}:
        answer = client.get(f"/page/{name}")
        assert answer.text == TEXTS[name]
        assert answer.headers["content-type"].partition(";")[0] == kinds[name.rpartition(".")[2]]
        again = client.get(f"/page/{name}", headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    for name in ("__init__.py", "index.html", "..%2fapp.py", "nothing"):
        assert client.get(f"/page/{name}").status_code == 404
    refused(client.get("/page/nothing"), 404, None, "no part 'nothing'")


# What a reader does, in a browser.


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """Opens an address; at the end nothing was refused by the policy, and no script failed."""
    contexts, wrong = [], []

    def open_(client, path="/", **options):
        context = browser.new_context(base_url=str(client.base_url), **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
        page.goto(path)
        until(page, lambda: not page.inner_text("#about").startswith("Asking"))
        return page

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []


ROWS = """name => [...document.querySelectorAll(`#${name} > li > .line`)].map(
    row => [row.querySelector(".id").textContent, row.querySelector(".name").title])"""


def rows(page, name="list"):
    """The ids and names of a list that is shown."""
    return (
        [(raw or called, called) for raw, called in page.evaluate(ROWS, name)]
        if page.is_visible("#lists")
        else []
    )


def until(page, found):
    """Waits until something holds; playwright's own way needs eval, which the policy refuses."""
    for _ in range(WAIT_MS // 20):
        if value := found():
            return value
        page.wait_for_timeout(20)
    raise AssertionError(
        f"it does not come about; shown are {rows(page)} and {page.inner_text('#problem')!r}"
    )


def shows(page, ids, name="list"):
    """Waits until these ids are shown."""
    until(page, lambda: [raw for raw, _ in rows(page, name)] == list(map(str, ids)))


def recommended(client, body):
    return client.post("/recommend", json=body).json()["items"][0]


def test_a_user_is_typed_and_chosen(client, opened):
    page = opened(client)
    assert page.inner_text("#model") == "lightgcn (attention)"
    assert page.inner_text("#about") == f"41 users, {len(set(films().items))} items"
    assert page.is_visible("#empty")
    page.click("#user")
    page.keyboard.type("1")
    until(page, lambda: page.inner_text("#user-options").split() == [str(user) for user in range(10, 20)])
    assert page.get_attribute("#user", "aria-expanded") == "true"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    active = page.get_attribute("#user", "aria-activedescendant")
    assert page.inner_text(f"#{active}") == "11"
    page.keyboard.press("Enter")
    shows(page, recommended(client, {"users": [11]}))
    assert page.url.endswith("/?user=11")
    assert page.get_attribute("#user", "aria-expanded") == "false"
    had = client.post("/history", json={"users": [11]}).json()["items"][0]
    assert rows(page, "history") == [(str(raw), NAMES[raw]) for raw in had]
    assert page.inner_text("#status") == "10 items recommended"
    page.fill("#user", "12")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    page.wait_for_selector("#who >> text=User 12")
    page.go_back()
    page.wait_for_selector("#who >> text=User 11")
    assert page.input_value("#user") == "11"


def test_an_address_shows_a_list_by_filters(client, opened):
    page = opened(client, "/?user=17&n=5&seen=1&only=1,2,4,5,6,7,8,9&never=2")
    body = {"users": [17], "n": 5, "filter_seen": False, "items": [1, 2, 4, 5, 6, 7, 8, 9], "exclude": [2]}
    shows(page, recommended(client, body))
    assert "Léon" in page.inner_text("#only-chips")
    assert page.inner_text("#never-chips .name") == "Film 2"
    assert page.is_checked("#seen") is False
    page.check("#seen")
    page.click("#never-chips .remove")
    page.fill("#n", "3")
    page.keyboard.press("Tab")
    body = {"users": [17], "n": 3, "items": [1, 2, 4, 5, 6, 7, 8, 9]}
    shows(page, recommended(client, body))


def test_a_new_user_is_made_of_items(client, opened):
    page = opened(client)
    page.check("#mode-items", force=True)
    assert page.is_visible("#item")
    assert not page.is_visible("#user")
    page.click("#item")
    page.keyboard.type("leon")
    page.click("#item-options >> text=Léon")
    shows(page, recommended(client, {"histories": [[5]]}))
    page.fill("#item", "large one")
    page.keyboard.press("Enter")
    shows(page, recommended(client, {"histories": [[5, LARGE]]}))
    assert page.url.endswith(f"/?items=5,{LARGE}")
    assert rows(page, "history") == [("5", "Léon"), (str(LARGE), "The large one")]
    page.get_by_role("button", name="Remove Léon").click()
    shows(page, recommended(client, {"histories": [[LARGE]]}))


def test_why_and_what_is_similar(client, opened):
    page = opened(client, "/?user=17&n=3")
    (best, name), *_ = until(page, lambda: rows(page))
    why = page.locator("#list > li").first.locator(".why")
    assert why.get_attribute("aria-label") == f"Why {name}"
    why.click()
    page.wait_for_selector("#list .more table")
    answer = client.post("/explain", json={"user": 17, "item": int(best), "names": True}).json()
    shown = page.locator("#list .more table").first.locator("tr").all_inner_texts()
    assert len(shown) == min(8, len(answer["parts"]))
    assert answer["parts"][0]["name"] in shown[0]
    layers = page.locator("#list .more table").nth(1).locator("tr").all_inner_texts()
    assert len(layers) == 3
    for text, value in zip(layers, answer["layers"], strict=True):
        assert float(text.split()[-1].replace("\u2212", "-")) == pytest.approx(value, abs=5e-3)
    page.locator("#list > li").first.locator(".like").click()
    page.wait_for_selector("#list .more .items > li")
    assert why.get_attribute("aria-expanded") == "false"
    similar = client.post("/similar", json={"items": [int(best)], "n": 8}).json()["items"][0]
    found = page.locator("#list .more .items .id").all_inner_texts()
    assert found == [str(raw) for raw in similar]
    page.locator("#list > li").first.locator(".like").click()
    assert not page.is_visible("#list .more")


def test_problems_are_told_in_words(client, opened):
    page = opened(client, "/?user=12345")
    page.wait_for_selector("#problem >> text=The model knows no user 12345")
    assert not page.is_visible("#lists")
    page.fill("#user", "abc")
    page.keyboard.press("Enter")
    page.wait_for_selector("#problem >> text=Ids of this model are whole numbers, and “abc” is none.")
    page.goto("/?items=5,777")
    page.wait_for_selector("#left-out >> text=Left out, as the model does not know them: 777")
    shows(page, recommended(client, {"histories": [[5]]}))
    page.fill("#item", "no such thing")
    page.keyboard.press("Enter")
    page.wait_for_selector("#problem >> text=No item has “no such thing” in its name or id.")


def test_a_server_that_is_gone_is_told_and_asked_again(browser, client):
    context = browser.new_context(base_url=str(client.base_url))
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.route("**/recommend", lambda route: route.abort())
    page.goto("/?user=17")
    page.wait_for_selector("#problem >> text=The server does not answer. Is it still running?")
    page.unroute("**/recommend")
    page.click("#again")
    shows(page, recommended(client, {"users": [17]}))
    assert not page.is_visible("#problem")
    context.close()


def test_the_last_choice_is_shown_and_waiting_is_told(client, opened):
    page = opened(client)
    held = []
    page.route("**/recommend", lambda route: held.append(route))
    page.click("#examples >> text=11")
    page.wait_for_selector("#empty >> text=Asking the server…")
    assert page.get_attribute("#result", "aria-busy") == "true"
    page.click("#examples >> text=12")
    until(page, lambda: len(held) == 2)
    held[1].continue_()
    shows(page, recommended(client, {"users": [12]}))
    assert page.inner_text("#who") == "User 12"
    assert page.get_attribute("#result", "aria-busy") is None
    assert not page.is_visible("#empty")


def test_what_the_user_had_is_marked(client, opened):
    page = opened(client, "/?user=17&n=30&seen=1")
    shows(page, recommended(client, {"users": [17], "n": 30, "filter_seen": False}))
    had = client.post("/history", json={"users": [17]}).json()["items"][0]
    assert page.locator("#list .had:visible").count() == len(had)


def test_a_user_without_history_gets_popular_items(client, opened):
    page = opened(client, "/?user=999")
    shows(page, recommended(client, {"users": [999]}))
    assert page.is_visible("#fallback-note >> text=the most popular items")
    assert page.locator("#list .popular:visible").count() == 10
    assert page.is_visible("#history-note")
    with serving(Popularity().fit(films())) as other:
        page = opened(other, "/?user=17")
        shows(page, recommended(other, {"users": [17]}))
        assert not page.locator("#list .like").first.is_visible()


def test_markup_in_ids_and_names_is_text(opened):
    train = evil()
    user, item = train.user_ids[4], train.item_ids[2]
    names = {raw: f"{raw}{EVIL}" for raw in train.item_ids[::2].tolist()}
    with serving(EASE(reg=2).fit(train), item_names=names) as client:
        page = opened(client)
        page.fill("#user", user)
        page.keyboard.press("Enter")
        shows(page, recommended(client, {"users": [user]}))
        assert page.inner_text("#who") == f"User {user}"
        page.locator("#list .why").first.click()
        page.wait_for_selector("#list .more table")
        page.reload()
        shows(page, recommended(client, {"users": [user]}))
        page.check("#mode-items", force=True)
        page.fill("#item", item)
        until(page, lambda: page.locator("#item-options .id").all_inner_texts()[:1] == [item])
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        shows(page, recommended(client, {"histories": [[item]]}))
        assert page.get_attribute("#item-chips .name", "title") == names[item]
        shortened = page.inner_text("#item-chips .name")
        assert (shortened[:-1], shortened[-1]) == (names[item][:89], "…")
        page.reload()
        shows(page, recommended(client, {"histories": [[item]]}))
        assert page.query_selector("img") is None
        assert page.title() == "pyrec"


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_width_scrolls_sideways(client, opened, width):
    page = opened(
        client,
        "/?items=1,2,4,777&only=1,2,5,6,7,8,9,10,11,12&never=9",
        viewport={"width": width, "height": 800},
    )
    page.locator("#list .why").first.click()
    page.wait_for_selector("#list .more table")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_works_by_keyboard_alone(client, opened):
    page = opened(client)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")  # the other kind of user
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "item"
    page.keyboard.type("film 7")
    page.wait_for_selector("#item-options [role=option]")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    until(page, lambda: rows(page))
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('why')"):
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    page.wait_for_selector("#list .more table")
