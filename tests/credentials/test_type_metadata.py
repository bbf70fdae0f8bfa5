"""A type metadata document: what the draft demands, and nothing read in two ways."""

import time
import traceback

import pytest
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import CounterfoilError, Malformed
from counterfoil_credentials.type_metadata import (
    ClaimLabel,
    ClaimMetadata,
    ColourScheme,
    Concealment,
    Contrast,
    Image,
    Orientation,
    SimpleRendering,
    SvgTemplate,
    TypeDisplay,
    TypeMetadata,
    parse_type_metadata,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.credentials.type_documents import (
    BASE,
    SHA256,
    SHA512,
    VCT,
    claim,
    display,
    json_values,
    parse,
)

SECRET = "the-secret" * 20_000


class TestDocument:
    @pytest.mark.parametrize(
        "members",
        [
            {"claims": [claim("a", sd=SECRET)]},
            {"display": [display(rendering={"simple": {"text_color": SECRET}})]},
            {"display": [display(rendering={"svg_templates": [{"uri": SECRET}]})]},
            {
                "display": [
                    display(
                        rendering={
                            "svg_templates": [
                                {"uri": "https://a.example", "properties": {"contrast": SECRET}}
                            ]
                        }
                    )
                ]
            },
            {"extends#integrity": SECRET},
        ],
    )
    def test_what_a_document_says_wrongly_is_not_repeated_in_a_traceback(
        self, members: JsonObject
    ) -> None:
        with pytest.raises(Malformed) as failure:
            parse(**members)

        assert "the-secret" not in "".join(traceback.format_exception(failure.value))

    def test_a_document_is_read_whole(self) -> None:
        found = parse(
            name="Warranty",
            description="For developers",
            extends=BASE,
            **{"extends#integrity": SHA256},
            display=[
                {
                    "locale": "de-CH-1996",
                    "name": "Garantie",
                    "description": "Zwei Jahre",
                    "rendering": {
                        "simple": {
                            "logo": {
                                "uri": "https://audio.example/logo.png",
                                "uri#integrity": SHA512,
                                "alt_text": "Logo",
                            },
                            "background_image": {"uri": "data:image/png;base64,AAAA"},
                            "background_color": "#12107c",
                            "text_color": "rgb(255, 255, 255)",
                        },
                        "svg_templates": [
                            {
                                "uri": "https://audio.example/card.svg",
                                "uri#integrity": SHA256,
                                "properties": {
                                    "orientation": "landscape",
                                    "color_scheme": "dark",
                                    "contrast": "high",
                                },
                            }
                        ],
                    },
                }
            ],
            claims=[
                {
                    "path": ["item", "parts", None, 0],
                    "display": [{"locale": "en", "label": "Part", "description": "Its number"}],
                    "mandatory": True,
                    "sd": "always",
                    "svg_id": "_part_1",
                }
            ],
        )

        simple = SimpleRendering(
            logo=Image("https://audio.example/logo.png", SHA512, "Logo"),
            background_image=Image("data:image/png;base64,AAAA"),
            background_colour="#12107c",
            text_colour="rgb(255, 255, 255)",
        )
        template = SvgTemplate(
            url="https://audio.example/card.svg",
            integrity=SHA256,
            orientation=Orientation.LANDSCAPE,
            colour_scheme=ColourScheme.DARK,
            contrast=Contrast.HIGH,
        )
        assert found == TypeMetadata(
            vct=VCT,
            name="Warranty",
            description="For developers",
            extends=BASE,
            extends_integrity=SHA256,
            display=(
                TypeDisplay(
                    locale="de-CH-1996",
                    name="Garantie",
                    description="Zwei Jahre",
                    simple=simple,
                    svg_templates=(template,),
                ),
            ),
            claims=(
                ClaimMetadata(
                    path=("item", "parts", None, 0),
                    display=(ClaimLabel(locale="en", label="Part", description="Its number"),),
                    mandatory=True,
                    concealment=Concealment.ALWAYS,
                    svg_id="_part_1",
                ),
            ),
        )

    def test_the_least_document_names_its_type(self) -> None:
        assert parse() == TypeMetadata(vct=VCT)

    def test_what_the_draft_does_not_define_is_ignored(self) -> None:
        stranger: JsonObject = {"x": 1, "schema": {}, "schema_uri": 7, "vctm": None}
        rendering: JsonObject = {"other_method": 1, "simple": {"x": 1}}
        found = parse(
            **stranger,
            display=[display(lang="en", rendering=rendering)],
            claims=[claim("item", **stranger)],
        )

        assert found.claims == (ClaimMetadata(path=("item",)),)
        assert found.display == (
            TypeDisplay(locale="en", name="Warranty", simple=SimpleRendering()),
        )

    def test_a_claim_that_says_nothing_differs_from_one_that_says_the_default(self) -> None:
        found = parse(claims=[claim("a"), claim("b", mandatory=False, sd="allowed", display=[])])

        assert found.claims[0] == ClaimMetadata(path=("a",))
        assert found.claims[1] == ClaimMetadata(
            path=("b",), display=(), mandatory=False, concealment=Concealment.ALLOWED
        )

    def test_hostile_texts_come_back_as_they_are(self) -> None:
        hostile = "<script>alert(1)</script>\u202eesrever\x00\x1b[2J"

        assert parse(name=hostile, display=[display(name=hostile)]).name == hostile

    @pytest.mark.parametrize(
        "document",
        [
            b"",
            b"[]",
            b"null",
            b'"x"',
            b"{",
            b"\xff",
            b'{"vct":"a","vct":"a"}',
            b'{"vct":"\\ud800"}',
            b'{"vct":""}',
            b"{}",
            b'{"vct":1}',
            b'{"vct":"' + b"a" * 2049 + b'"}',
            b"[" * 10**5,
            b'{"vct":"a","x":"' + b"a" * 262144 + b'"}',
            b'{"vct":"a","x":NaN}',
        ],
    )
    def test_what_is_no_document_is_malformed(self, document: bytes) -> None:
        with pytest.raises(Malformed):
            parse_type_metadata(document)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("name", None),
            ("name", 1),
            ("name", "x" * 501),
            ("description", []),
            ("description", "x" * 5001),
            ("extends", None),
            ("extends", ""),
            ("extends#integrity", "sha256"),
            ("extends#integrity", 1),
            ("display", {}),
            ("display", [1]),
            ("display", None),
            ("claims", {}),
            ("claims", ["item"]),
            ("claims", None),
        ],
    )
    def test_a_member_of_another_kind_is_malformed(self, name: str, value: Json) -> None:
        with pytest.raises(Malformed, match=name):
            parse(**{name: value})


class TestDisplay:
    @pytest.mark.parametrize("locale", ["en", "zh-Hant-TW", "x-private", "i-klingon", "de-1996"])
    def test_a_language_tag_is_accepted(self, locale: str) -> None:
        assert parse(display=[display(locale=locale)]).vct == VCT

    @pytest.mark.parametrize(
        "locale", ["", "en_US", "e n", "en-", "-en", "1e", "abcdefghi", "é", None, 1, "en\n"]
    )
    def test_another_text_is_no_language_tag(self, locale: Json) -> None:
        with pytest.raises(Malformed, match="locale"):
            parse(display=[display(locale=locale)])
        with pytest.raises(Malformed, match="locale"):
            parse(claims=[claim("a", display=[{"locale": locale, "label": "A"}])])

    def test_each_locale_stands_once(self) -> None:
        labels: list[Json] = [{"locale": "en-us", "label": "A"}, {"locale": "en-US", "label": "A"}]

        assert parse(display=[display(), display(locale="en-US")]).vct == VCT
        with pytest.raises(Malformed, match="each locale once"):
            parse(display=[display(), display(locale="EN")])
        with pytest.raises(Malformed, match="each locale once"):
            parse(claims=[claim("a", display=labels)])

    @pytest.mark.parametrize("missing", ["locale", "name"])
    def test_a_locale_and_a_name_are_needed(self, missing: str) -> None:
        shown = display()
        del shown[missing]
        with pytest.raises(Malformed, match=missing):
            parse(display=[shown])

    @pytest.mark.parametrize("missing", ["locale", "label"])
    def test_a_claims_label_needs_both_too(self, missing: str) -> None:
        label: JsonObject = {"locale": "en", "label": "A"}
        del label[missing]
        with pytest.raises(Malformed, match=missing):
            parse(claims=[claim("a", display=[label])])

    def simple(self, **members: Json) -> TypeMetadata:
        return parse(display=[display(rendering={"simple": {**members}})])

    def templates(self, *templates: Json) -> TypeMetadata:
        return parse(display=[display(rendering={"svg_templates": [*templates]})])

    @pytest.mark.parametrize("url", ["https://a.example/x.png", "data:,x", "data:image/png,%20"])
    def test_a_picture_is_at_an_https_or_a_data_address(self, url: str) -> None:
        assert self.simple(logo={"uri": url}).vct == VCT
        assert self.templates({"uri": url}).vct == VCT

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "http://a.example",
            "https://",
            "https:///x",
            "javascript:alert(1)",
            "data:x",
            None,
            1,
            "https://a.example/ x",
            "data:,x\n",
            " data:,x",
            "HTTPS",
            "file:///etc/passwd",
            "//a",
            "https://a.example/" + "x" * 2048,
            "data:," + "é",
            "x data:,x",
        ],
    )
    def test_any_other_address_is_malformed(self, url: Json) -> None:
        with pytest.raises(Malformed, match="uri"):
            self.simple(logo={"uri": url})
        with pytest.raises(Malformed, match="uri"):
            self.simple(background_image={"uri": url})
        with pytest.raises(Malformed, match="uri"):
            self.templates({"uri": url})

    def test_a_picture_without_an_address_is_malformed(self) -> None:
        for picture in ({}, {"alt_text": "x"}, {"url": "data:,x"}):
            with pytest.raises(Malformed, match="uri"):
                self.simple(logo={**picture})

    def test_an_integrity_of_another_form_is_malformed(self) -> None:
        with pytest.raises(Malformed, match="integrity"):
            self.simple(logo={"uri": "data:,x", "uri#integrity": "md5"})

    @pytest.mark.parametrize(
        "colour",
        ["#fff", "#12107C", "rgb(0,0,0)", "rgb( 300 , -1 , +5 )", "RGB(10%, 0.5%, .5%)"],
    )
    def test_an_rgb_colour_is_accepted(self, colour: str) -> None:
        assert self.simple(background_color=colour, text_color=colour).vct == VCT

    @pytest.mark.parametrize(
        "colour",
        [
            "",
            "red",
            "#ff",
            "#fffff",
            "#ffffffff",
            "#ggg",
            "fff",
            "rgb(0,0)",
            "rgb(0,0,0,0)",
            None,
            "rgb(0%,0,0)",
            "rgba(0,0,0,0)",
            "#fff;}*{display:none",
            "url(https://a.example)",
            7,
            "#fff\n",
            "rgb(٣,0,0)",
            "rgb(" + " " * 100 + "0,0,0)",
        ],
    )
    def test_another_colour_is_malformed(self, colour: Json) -> None:
        with pytest.raises(Malformed, match="color"):
            self.simple(background_color=colour)
        with pytest.raises(Malformed, match="color"):
            self.simple(text_color=colour)

    def test_several_templates_need_properties_each(self) -> None:
        light: JsonObject = {"uri": "data:,x", "properties": {"color_scheme": "light"}}

        assert self.templates({"uri": "data:,x"}).vct == VCT
        assert self.templates(light, light).vct == VCT
        with pytest.raises(Malformed, match="properties"):
            self.templates(light, {"uri": "data:,x"})

    @pytest.mark.parametrize(
        "properties",
        [
            {},
            {"x": 1},
            {"orientation": "square"},
            {"contrast": "low"},
            {"color_scheme": 1},
            [],
            1,
            {"orientation": "landscape", "contrast": None},
            None,
        ],
    )
    def test_a_template_with_other_properties_is_malformed(self, properties: Json) -> None:
        with pytest.raises(Malformed, match="properties"):
            self.templates({"uri": "data:,x", "properties": properties})

    @pytest.mark.parametrize(
        "rendering",
        [None, [], {"simple": []}, {"svg_templates": {}}, {"svg_templates": [1]}, {"simple": None}],
    )
    def test_a_rendering_of_another_kind_is_malformed(self, rendering: Json) -> None:
        with pytest.raises(Malformed, match="rendering"):
            parse(display=[display(rendering=rendering)])

    def test_long_addresses_are_read_in_linear_time(self) -> None:
        start = time.perf_counter()
        for text in ("data:" + "," * 200_000 + "é", "data:" + "a" * 200_000, "https://" * 20_000):
            with pytest.raises(Malformed):
                self.simple(logo={"uri": text})
        assert time.perf_counter() - start < 2


class TestClaims:
    @pytest.mark.parametrize(
        "path",
        [None, [], {}, "item", [True], [1.5], [-1], [["a"]], [{}], ["a"] * 17],
    )
    def test_a_path_of_another_form_is_malformed(self, path: Json) -> None:
        with pytest.raises(Malformed, match="path"):
            parse(claims=[{"path": path}])

    def test_a_claim_without_a_path_is_malformed(self) -> None:
        with pytest.raises(Malformed, match="path"):
            parse(claims=[{"sd": "never"}])

    def test_each_path_stands_once(self) -> None:
        assert (
            parse(claims=[claim("a", 0), claim("a", None), claim("a", "0"), claim("a")]).vct == VCT
        )
        with pytest.raises(Malformed, match="each claim path once"):
            parse(claims=[claim("a", None), claim("b"), claim("a", None, sd="never")])

    @pytest.mark.parametrize("svg_id", ["a", "_", "A1_b", "x" * 100])
    def test_an_svg_id_is_letters_digits_and_lines(self, svg_id: str) -> None:
        assert parse(claims=[claim("a", svg_id=svg_id)]).claims[0].svg_id == svg_id

    @pytest.mark.parametrize(
        "svg_id", ["", "1a", "a-b", "a b", "é", "a\n", "{{a}}", "x" * 101, None, 1, "٣"]
    )
    def test_another_svg_id_is_malformed(self, svg_id: Json) -> None:
        with pytest.raises(Malformed, match="svg_id"):
            parse(claims=[claim("a", svg_id=svg_id)])

    def test_each_svg_id_stands_once(self) -> None:
        assert parse(claims=[claim("a", svg_id="a"), claim("b", svg_id="A"), claim("c")]).vct == VCT
        with pytest.raises(Malformed, match="each svg_id once"):
            parse(claims=[claim("a", svg_id="a"), claim("b", svg_id="a")])

    @pytest.mark.parametrize("mandatory", [None, 0, 1, "true", []])
    def test_mandatory_is_true_or_false(self, mandatory: Json) -> None:
        with pytest.raises(Malformed, match="mandatory"):
            parse(claims=[claim("a", mandatory=mandatory)])

    @pytest.mark.parametrize("value", [None, "", "Always", "sometimes", True, []])
    def test_sd_has_three_values(self, value: Json) -> None:
        with pytest.raises(Malformed, match="sd"):
            parse(claims=[claim("a", sd=value)])

    def test_their_number_is_bounded(self) -> None:
        many: list[Json] = [claim("a", i) for i in range(501)]

        assert len(parse(claims=many[:500]).claims) == 500
        with pytest.raises(Malformed, match="at most 500"):
            parse(claims=many)

    @given(
        st.fixed_dictionaries(
            {},
            optional={
                "path": json_values,
                "display": json_values,
                "mandatory": json_values,
                "sd": json_values,
                "svg_id": json_values,
            },
        )
    )
    def test_any_claim_raises_only_our_errors(self, described: JsonObject) -> None:
        good_path: JsonObject = {**described, "path": ["a"]}
        for found in (described, good_path):
            try:
                parsed = parse(claims=[found])
            except CounterfoilError:
                continue
            assert len(parsed.claims) == 1

    @given(st.binary())
    def test_any_bytes_raise_only_our_errors(self, data: bytes) -> None:
        for found in (data, b'{"vct":"a","display":' + data + b"}"):
            try:
                parsed = parse_type_metadata(found)
            except CounterfoilError:
                continue
            assert parsed.vct
