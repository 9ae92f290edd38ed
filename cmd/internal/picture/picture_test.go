package picture

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// busy is a chain of three: a filter, a counter and a router.
func busy(name string) Chain {
	rate := func(n uint64) Rate { return Rate{n * 10, float64(n)} }
	return Chain{Interface: name, Note: "native", Counted: true, Total: rate(1_234_567), Programs: []Program{
		{Name: "xdp_filter", Note: "priority 10, id 47", Passes: "XDP_PASS", Total: rate(1_234_567), Verdicts: []Verdict{
			{Name: "XDP_ABORTED", Decided: rate(12)}, {Name: "XDP_DROP", Decided: rate(400_000)}, {Name: "XDP_PASS", HandedOn: rate(834_555)}}},
		{Name: "xdp_count", Note: "priority 20, id 50", Passes: "XDP_PASS,XDP_TX", Total: rate(834_555), Verdicts: []Verdict{
			{Name: "XDP_PASS", HandedOn: rate(834_555)}}},
		{Name: "xdp_route_to_other_networks", Note: "priority 30, id 51", Passes: "XDP_PASS", Total: rate(834_555), Verdicts: []Verdict{
			{Name: "XDP_PASS", Decided: rate(700_000)}, {Name: "XDP_REDIRECT", Decided: rate(134_555)}}},
	}}
}

// elements reads a whole document, and returns the text of those elements.
func elements(t *testing.T, document, name string) (texts []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(document))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == name {
			var text string
			if err := d.DecodeElement(&text, &e); err != nil {
				t.Fatal(err)
			}
			texts = append(texts, text)
		}
	}
}

func TestPicture(t *testing.T) {
	var b strings.Builder
	alone := Chain{Interface: "eth1", Note: "skb, no dispatcher", Programs: []Program{{Name: "lone", Note: "id 3"}}}
	if err := Write(&b, "chains", []Chain{busy("eth0"), alone, {Interface: "eth2"}}); err != nil {
		t.Fatal(err)
	}
	if path := os.Getenv("XDPMUX_TEST_PICTURE"); path != "" {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	titles := strings.Join(elements(t, b.String(), "title"), "\n")
	for _, want := range []string{
		"xdp_filter decides XDP_DROP: 4000000 packets, 400000.0/s",
		"xdp_filter hands on: 8345550 packets, 834555.0/s",
		"xdp_route_to_other_networks decides XDP_PASS: 7000000 packets, 700000.0/s",
		"chain call actions: XDP_PASS,XDP_TX",
	} {
		if !strings.Contains(titles, want) {
			t.Errorf("no %q in\n%s", want, titles)
		}
	}
	texts := strings.Join(elements(t, b.String(), "text"), "\n")
	for _, want := range []string{"1.2M/s", "XDP_DROP 400k/s", "XDP_REDIRECT 135k/s", "xdp_route_to_othe…", "no XDP program"} {
		if !strings.Contains(texts, want) {
			t.Errorf("no %q in\n%s", want, texts)
		}
	}
}

// Names come from whoever loads a program: they are text, and nothing else.
func TestNamesAreText(t *testing.T) {
	evil := `"><script>alert('1')</script>&amp;`
	c := busy(evil)
	c.Programs[0].Name, c.Programs[0].Unseen = evil, evil
	document := Inline(c)
	if strings.Contains(document, "<script") {
		t.Errorf("an element came out of a name:\n%s", document)
	}
	if titles := strings.Join(elements(t, document, "title"), "\n"); !strings.Contains(titles, evil) {
		t.Errorf("%q isn't shown as it is in\n%s", evil, titles)
	}
}

func TestShort(t *testing.T) {
	for rate, want := range map[float64]string{
		0: "0/s", 0.5: "0.5/s", 7: "7/s", 99.94: "99.9/s", 999.96: "1k/s", 1000: "1k/s", 12345: "12.3k/s", 999_999: "1M/s", 5e9: "5G/s", 2e13: "20000G/s"} {
		if got := (Rate{PerSecond: rate}).Short(); got != want {
			t.Errorf("%v is %q, want %q", rate, got, want)
		}
	}
}

// README's picture is a real run's, and is drawn as pictures are drawn now.
func TestReadmePicture(t *testing.T) {
	document, err := os.ReadFile("../../../docs/chain.svg")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(document), "<style>"+Style+"</style>") {
		t.Error("docs/chain.svg has another style: make picture")
	}
	titles := strings.Join(elements(t, string(document), "title"), "\n")
	for _, want := range []string{"xdp_count hands on: ", "xdp_drop_ipv6 decides XDP_DROP: ", "xdp_pass decides XDP_PASS: "} {
		if !strings.Contains(titles, want) {
			t.Errorf("docs/chain.svg: no %q in\n%s", want, titles)
		}
	}
}
