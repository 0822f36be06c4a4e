"""The documents that browsers get: in the visitor's language, with the frame, the same in Gradio's description."""

from __future__ import annotations

import httpx
import pytest
from tests.ui.documents import document

from vigie.schema import FeatureSchema
from vigie.ui.document import Documents
from vigie.ui.page import PAGES, Page
from vigie.ui.texts import Texts

TEXTS = Texts()
ADDRESSES = [f"/{page.path}" for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path or "predict")
@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_page_is_in_the_visitors_language(front_end: str, page: Page, language: str) -> None:
    """Document, title, navigation and components; no mark of an unresolved text is left."""
    found = document(front_end, f"/{page.path}", language)
    name = TEXTS.say(language, f"frame.{page.key}")
    assert f'lang="{language}"' in found.html.partition("<head>")[0]
    assert found.config["title"] == f"{name} · Vigie"
    assert f'<a href="./{page.path}" aria-current="page">{name}</a>' in found.html
    assert found.html.count('aria-current="page"') == 1
    assert "__i18n__" not in found.texts
    assert list(found.config["i18n_translations"]) == [language]


def test_labels_of_the_schema_follow_the_language(front_end: str, schema: FeatureSchema) -> None:
    """A French browser gets the form in French, choices included."""
    texts = document(front_end, "/", "fr").texts
    assert all(feature.label.fr in texts for feature in schema.features)
    words = [text.fr for feature in schema.features for text in feature.values.values()]
    assert words
    assert all(word in texts for word in words)


def test_the_switch_goes_before_the_browsers_language(front_end: str) -> None:
    """The cookie decides, for the server and for Gradio's own words."""
    found = document(front_end, "/logs", "en", "language=fr")
    assert found.config["title"].startswith(TEXTS.say("fr", "frame.logs"))
    assert 'const language = "fr"' in found.html


@pytest.mark.parametrize(
    ("theme", "mode", "body"),
    [("dark", "dark", '<body class="dark"'), ("light", "light", "<body\n"), ("<b>", "system", "<body\n")],
)
def test_the_chosen_appearance_is_there_from_the_start(
    front_end: str, theme: str, mode: str, body: str
) -> None:
    """No flash of the other one; an unknown choice is the system's."""
    found = document(front_end, cookies=f"theme={theme}")
    assert f'<gradio-app theme_mode="{mode}"' in found.html
    assert body in found.html
    assert "<b>" not in found.html.partition("<gradio-app")[2][:300]


def test_a_page_says_what_the_model_is_not(front_end: str) -> None:
    """The notice stands on every page, before any script has run."""
    for address in ADDRESSES:
        assert ">Not a medical device.</span>" in document(front_end, address).html


def test_a_document_is_asked_for_again_and_its_parts_are_kept(front_end: str) -> None:
    """A page depends on cookie and language; its styles and scripts have the content in their names."""
    answer = httpx.get(f"{front_end}/")
    assert answer.headers["cache-control"] == "private, no-cache"
    assert {"Cookie", "Accept-Language"} <= {name.strip() for name in answer.headers["vary"].split(",")}
    for kind in ("css", "js"):
        name = next(
            part for part in answer.text.split('"') if part.startswith("./frame-") and part.endswith(kind)
        )
        part = httpx.get(f"{front_end}/{name}")
        assert (part.status_code, part.headers["cache-control"]) == (
            200,
            "public, max-age=31536000, immutable",
        )
    assert httpx.get(f"{front_end}/frame-0000.css").status_code == 404


def test_a_changed_template_of_gradio_is_noticed(front_end: str) -> None:
    """A document that is not built as expected is an error, not a page without its frame."""
    documents = Documents(None, Words(), TEXTS)
    with pytest.raises(ValueError, match="<gradio-app"):
        documents.complete('<html lang="en"><head></head><body></body></html>', "en", "system", PAGES[0])


class Words:
    """A frame of single words."""

    def head(self, *_: object) -> str:
        """The head."""
        return "head"

    def header(self, *_: object) -> str:
        """The header."""
        return "header"


def test_only_pages_are_completed(front_end: str) -> None:
    """Gradio's other documents and addresses that do not exist pass as they are."""
    assert httpx.get(f"{front_end}/config").json()["components"]
    assert httpx.get(f"{front_end}/nonsense").status_code == 404
    assert httpx.head(f"{front_end}/").status_code == 200
