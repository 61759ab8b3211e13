"""Test the chart of benchmark results."""

from xml.etree import ElementTree

from benchmarks.chart import Panel, draw

SVG = "{http://www.w3.org/2000/svg}"


def test_each_panel_shows_its_values_above_the_sizes() -> None:
    panels = [
        Panel("orders & more", "/s", [(10_000, 900), (100_000, 450), (1_000_000, 0)]),
        Panel("stats", "ms", [(10_000, 1.5)]),
    ]
    first, second = ElementTree.fromstring(draw(panels)).iter(f"{SVG}g")
    texts = [text.text for text in first.iter(f"{SVG}text")]
    assert texts == ["orders & more", "900/s", "10,000", "450/s", "100,000", "0.00/s", "1,000,000"]
    heights = [float(circle.attrib["cy"]) for circle in first.iter(f"{SVG}circle")]
    assert heights[0] < heights[1] < heights[2]
    assert len(list(second.iter(f"{SVG}circle"))) == 1
