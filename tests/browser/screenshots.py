"""`make screenshots`: takes the pictures of the documentation from real pages, after two minutes of traffic.

Everything runs on embedded parts: traffic comes from the simulator, with outcomes that arrive later, so the
pictures show what `make demo` shows.
"""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from tests.browser.chromium import chromium
from tests.browser.visitors import Language, Theme, Visitors
from tests.servers import ROOT, wait_for
from tests.stack import Stack

from vigie.model.training import train
from vigie.terminal import say
from vigie.ui.texts import Texts

IMAGES: Final = ROOT / "docs" / "images"
MOST_BYTES: Final = 150_000
COLOURS: Final = 128
"""Of a picture: text stays sharp, and the file a third of its size."""
TRAFFIC: Final = ("--rate", "6", "--duration", "120", "--bad", ".03", "--batch", ".02", "--seed", "7")
OUTCOMES: Final = ("--feedback", ".6", "--feedback-delay", "2s..20s")
TEXTS: Final = Texts()


def predicted(page: Page, language: Language) -> None:
    """Fill in the form and press the button."""
    page.get_by_role("button", name=TEXTS.say(language, "predict.button"), exact=True).click()
    page.get_by_role("link", name=TEXTS.say(language, "predict.show_trace")).wait_for()


def traced(page: Page, language: Language) -> None:
    """Follow a prediction to its trace, once it is stored."""
    predicted(page, language)
    page.get_by_role("link", name=TEXTS.say(language, "predict.show_trace")).click()
    page.get_by_role("heading", name=TEXTS.say(language, "trace.stages_title")).wait_for()


def uploaded(page: Page, language: Language) -> None:
    """Upload a file with a fault in it."""
    header = (
        "Patient,Age,Gender,Smoking,Alcohol consuming,Peer pressure,Yellow fingers,Anxiety,Fatigue,Allergy,"
    )
    header += "Wheezing,Coughing,Shortness of breath,Swallowing difficulty,Chest pain"
    rows = [
        f"P-{number},{50 + 3 * number},{number % 2},1,0,1,0,0,1,0,1,{number % 2},1,0,1" for number in range(7)
    ]
    rows[4] = rows[4].replace("P-4,62", "P-4,162")
    content = "\n".join([header, *rows]).encode()
    page.locator("main input[type=file]").first.set_input_files(
        {"name": "visits.csv", "mimeType": "text/csv", "buffer": content}
    )


def nothing(page: Page, language: Language) -> None:
    """Take the page as it is drawn."""


@dataclass(frozen=True)
class Picture:
    """One picture: the page, what is done in it first, and how it is looked at."""

    name: str
    path: str
    do: Callable[[Page, Language], None] = nothing
    theme: Theme = "light"
    language: Language = "en"
    width: int = 1280
    height: int = 860


PICTURES: Final = (
    Picture("predict", "/", predicted, height=980),
    Picture("predict-dark", "/", predicted, theme="dark", height=980),
    Picture("predict-phone", "/", predicted, language="fr", width=390, height=844),
    Picture("batch", "/batch", uploaded),
    Picture("trace", "/", traced, height=1000),
    Picture("dashboards", "/dashboards?name=overview&last=15m", height=1000),
    Picture("dashboards-dark", "/dashboards?name=performance&last=15m", theme="dark", height=1000),
    Picture("dashboards-phone", "/dashboards?name=overview&last=15m", width=390, height=844),
    Picture("logs", "/logs"),
    Picture("drift", "/drift", height=1000),
    Picture("pipeline", "/pipeline", height=1000),
)


def take(visit: Visitors, picture: Picture) -> bytes:
    """Return the picture as PNG."""
    page = visit(
        picture.path,
        language=picture.language,
        theme=picture.theme,
        width=picture.width,
        height=picture.height,
    )
    visit.settled(page)
    picture.do(page, picture.language)
    visit.settled(page)
    page.evaluate("scrollTo(0, 0)")
    image = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
    small = io.BytesIO()
    image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


def fill(stack: Stack) -> None:
    """Start the installation and send it two minutes of traffic; return when everything of it is stored."""
    train(ROOT / "model" / "lung_cancer", stack.package, None)
    stack.start("redis", "store", "api", "pipeline", "ui")
    if stack.finish("simulate", *TRAFFIC, *OUTCOMES, timeout=400):
        say("a request failed, as the pictures will show: is the machine busy?")
    wait_for(lambda: stack.finish("verify") == 0, 120, "every event to be stored")


def draw(browser: Browser, stack: Stack) -> list[str]:
    """Write every picture; return what is wrong with them."""
    wrong = []
    IMAGES.mkdir(parents=True, exist_ok=True)
    for picture in PICTURES:
        visit = Visitors(browser, stack.url("ui"))
        content = take(visit, picture)
        wrong += [f"{picture.name}: {fault}" for fault in visit.untold]
        visit.close()
        if len(content) > MOST_BYTES:
            wrong.append(f"{picture.name}: {len(content):,} bytes")
        (IMAGES / f"{picture.name}.png").write_bytes(content)
        say(f"docs/images/{picture.name}.png  {len(content):,} bytes")
    return wrong


def main() -> int:
    """Take the pictures; exit status 1 when a page had an error or a picture is too large."""
    path = chromium()
    if path is None:
        say("no Chromium: install chromium, or name it by CHROMIUM")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with TemporaryDirectory(prefix="vigie-pictures-") as folder, sync_playwright() as playwright:
        stack = Stack(Path(folder) / "home", Path(folder) / "package")
        try:
            fill(stack)
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            wrong = draw(browser, stack)
        finally:
            stack.stop()
    for fault in wrong:
        say(fault)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
