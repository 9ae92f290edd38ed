package exporter

import (
	"bufio"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	neturl "net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/xdpmux/xdpmux/cmd/internal/web"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// evil is a name that is markup where it isn't escaped.
const evil = `<script>alert("1")</script>'&`

// traffic are counters that go up with each reading. That they are those of a kernel is shown in
// test/observe; here is what a browser makes of them.
type traffic struct {
	reads    atomic.Uint64
	interval time.Duration // from one to the next, as the counters say
}

func (f *traffic) read() *observe.Snapshot {
	n := f.reads.Add(1)
	chain := func(index int, name string, programs ...string) observe.Chain {
		c := observe.Chain{Interface: xdp.Interface{Name: name, Index: index}}
		come := 1000 * n
		whole := observe.Counts{Packets: come}
		for i, program := range programs {
			drops := 100 * n
			counts := observe.Counts{Packets: come, HandedOn: come - drops, Decided: drops}
			counts.Verdicts[xdp.Drop], counts.Verdicts[xdp.Pass] = drops, come-drops
			counts.Final[xdp.Drop] = drops
			if i == len(programs)-1 {
				counts.Final[xdp.Pass], counts.Decided, counts.HandedOn = come-drops, come, 0
			}
			whole.Verdicts[xdp.Drop] += drops
			come -= drops
			actions := xdp.On(xdp.Pass)
			c.Programs = append(c.Programs, observe.Program{Loaded: xdp.Loaded{ID: uint32(10*index + i), Name: program},
				Role: observe.RoleComponent, Priority: uint32(10 * (i + 1)), Actions: actions, Counts: counts})
		}
		whole.Verdicts[xdp.Pass] = come
		whole.Final, whole.Decided = whole.Verdicts, whole.Packets
		c.Programs = append([]observe.Program{{Loaded: xdp.Loaded{ID: uint32(1000 * index), Name: "xdp_dispatcher"}, Role: observe.RoleDispatcher, Counts: whole}}, c.Programs...)
		return c
	}
	ten := make([]string, 10)
	for i := range ten {
		ten[i] = fmt.Sprintf("step%d", i)
	}
	return &observe.Snapshot{Time: time.Unix(0, 0).Add(time.Duration(n) * f.interval), Chains: []observe.Chain{
		chain(2, "eth0", "filter", "count"), chain(3, evil, evil), chain(4, "ten", ten...),
	}}
}

func startPage(t *testing.T, interval time.Duration, declared func() *Declared) (*traffic, *sampler, string) {
	t.Helper()
	f := &traffic{interval: interval}
	s := &sampler{read: f.read, declared: declared, interval: interval}
	server := httptest.NewServer(web.NewServer(served(&Exporter{s})).Handler)
	t.Cleanup(server.Close)
	return f, s, server.URL
}

// TestEvents has two hundred clients, of which each gets every sample while the counters are
// read once. When they have gone, nothing reads any more.
func TestEvents(t *testing.T) {
	const interval = 100 * time.Millisecond
	f, s, url := startPage(t, interval, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var clients sync.WaitGroup
	for range 200 {
		clients.Add(1)
		go func() {
			defer clients.Done()
			request, err := http.NewRequestWithContext(ctx, "GET", url+"/events?interface=eth0", nil)
			if err != nil {
				t.Error(err)
				return
			}
			r, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Body.Close()
			seen := map[string]bool{}
			for lines := bufio.NewScanner(r.Body); len(seen) < 5 && lines.Scan(); {
				if _, rest, found := strings.Cut(lines.Text(), "<time>"); found {
					seen[rest] = true
				}
			}
			if len(seen) < 5 {
				t.Errorf("%d different samples", len(seen))
			}
		}()
	}
	began := time.Now()
	clients.Wait()
	if most := uint64(time.Since(began)/interval) + 2; f.reads.Load() > most {
		t.Errorf("the counters were read %d times for 200 clients, want at most %d", f.reads.Load(), most)
	}
	for idle := false; !idle; time.Sleep(interval / 10) {
		if ctx.Err() != nil {
			t.Fatal("it still reads, and nobody watches")
		}
		s.mu.Lock()
		idle = !s.running && s.watchers == 0
		s.mu.Unlock()
	}
}

// TestEventsLimit fills the exporter with clients, but for one place. Who comes when all places are taken is told so,
// and to come again; and gets in when another has left.
func TestEventsLimit(t *testing.T) {
	_, s, url := startPage(t, 10*time.Millisecond, nil)
	s.mu.Lock()
	s.watchers = maxWatchers - 1
	s.mu.Unlock()
	get := func() *http.Response {
		t.Helper()
		r, err := http.Get(url + "/events")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Body.Close() })
		return r
	}
	last := get()
	if last.StatusCode != http.StatusOK {
		t.Fatal(last.Status)
	}
	refused := get()
	said, _ := io.ReadAll(refused.Body)
	if refused.StatusCode != http.StatusServiceUnavailable || refused.Header.Get("Retry-After") != "5" || string(said) != "500 pages follow already, which is the limit\n" {
		t.Errorf("%s, %v: %s", refused.Status, refused.Header, said)
	}
	last.Body.Close()
	for deadline := time.Now().Add(10 * time.Second); get().StatusCode != http.StatusOK; {
		if time.Now().After(deadline) {
			t.Fatal("nobody gets in again")
		}
	}
}

// TestPicturesAreXML finds markup that isn't closed, which a browser would mend in silence.
func TestPicturesAreXML(t *testing.T) {
	s := &sampler{read: (&traffic{interval: time.Second}).read, interval: time.Second}
	s.newest()
	for _, c := range s.newest().view(evil).Chains {
		if err := xml.Unmarshal([]byte(c.Picture), new(struct{})); err != nil {
			t.Errorf("%v in\n%s", err, c.Picture)
		}
	}
}

// browser starts a Chromium without a screen, and fails with what the page complains of.
func browser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if system, _ := os.ReadFile("/etc/os-release"); !strings.Contains(string(system), "\nID=debian\n") {
			t.Skip("no chromium, which only Debian has as a package")
		}
		t.Fatal("chromium is missing: make deps installs it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Flag("force-prefers-reduced-motion", true))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	chromedp.ListenTarget(ctx, func(event any) {
		switch event := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("the page: %v", event.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			t.Errorf("the page: %s %s", event.Entry.Text, event.Entry.URL)
		}
	})
	ctx, cancel = context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// screenshot keeps what a browser shows, where somebody wants to look at it.
func screenshot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("XDPMUX_TEST_SCREENSHOTS")
	if dir == "" {
		return
	}
	var png []byte
	if err := chromedp.Run(ctx, chromedp.FullScreenshot(&png, 100)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/"+name+".png", png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// text is what an expression gives in the page.
func text(t *testing.T, ctx context.Context, expression string) (result string) {
	t.Helper()
	if err := chromedp.Run(ctx, chromedp.Evaluate("String("+expression+")", &result)); err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return result
}

// rows is the table as the browser has it, and titles what it shows on hovering.
const (
	rows   = `[...document.querySelectorAll("tbody tr")].map(r => [...r.cells].map(c => c.textContent).join(" ")).join("\n")`
	titles = `[...document.querySelectorAll("svg title")].map(t => t.textContent).join("\n")`
)

// TestPage looks at the page with a browser: what it shows are the counters, and what the
// events bring; names are text; and it fits a telephone.
func TestPage(t *testing.T) {
	ctx := browser(t)
	f, _, url := startPage(t, 50*time.Millisecond, nil)
	if err := chromedp.Run(ctx, log.Enable(), runtime.Enable(), chromedp.EmulateViewport(1100, 700), chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	// What is shown is of one reading, n: each figure follows from it.
	const atOnce = `(() => { const t = ` + rows + `, s = ` + titles + `; return t + "\n" + s; })()`
	var shown string
	first := text(t, ctx, `document.querySelector("tbody td:nth-child(4)").textContent`)
	for updates := 0; updates < 20; {
		shown = text(t, ctx, atOnce)
		var n uint64
		if _, err := fmt.Sscanf(strings.Fields(shown)[2], "%d", &n); err != nil {
			t.Fatal(err, shown)
		}
		n /= 1000
		for _, want := range []string{
			fmt.Sprintf(" 2000 xdp_dispatcher %d 20000.0 0 %d 0 %d %d 0 0 0 0\n", 1000*n, 1000*n, 200*n, 800*n),
			fmt.Sprintf("10 20 filter %d 20000.0 %d %d 0 %d %d 0 0 0 0\n", 1000*n, 900*n, 100*n, 100*n, 900*n),
			fmt.Sprintf("20 21 count %d 18000.0 0 %d 0 %d %d 0 0 0 0\n", 900*n, 900*n, 100*n, 800*n),
			fmt.Sprintf("filter decides XDP_DROP: %d packets, 2000.0/s\n", 100*n),
			fmt.Sprintf("filter hands on: %d packets, 18000.0/s\n", 900*n),
			fmt.Sprintf("count decides XDP_PASS: %d packets, 16000.0/s", 800*n),
		} {
			if n > 2 && !strings.Contains(shown+"\n", want) {
				t.Fatalf("reading %d: no %q in\n%s", n, want, shown)
			}
		}
		if now := strings.Fields(shown)[2]; now != first {
			first, updates = now, updates+1
		}
	}
	screenshot(t, ctx, "wide")
	if err := chromedp.Run(ctx, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}})); err != nil {
		t.Fatal(err)
	}
	if got := text(t, ctx, `getComputedStyle(document.body).backgroundColor`); got != "rgb(18, 22, 28)" {
		t.Errorf("in the dark the page is %s", got)
	}
	screenshot(t, ctx, "dark")

	for _, name := range []string{"eth0", "ten", evil} {
		address := url + "/?" + neturl.Values{"interface": {name}}.Encode()
		if err := chromedp.Run(ctx, chromedp.EmulateViewport(360, 640), chromedp.Navigate(address)); err != nil {
			t.Fatal(err)
		}
		if got := text(t, ctx, `document.documentElement.scrollWidth`); got != "360" {
			t.Errorf("%s: the page is %s wide on a screen of 360", name, got)
		}
		if got := text(t, ctx, `Math.min(...[...document.querySelectorAll("svg text, td, a")].map(e => parseFloat(getComputedStyle(e).fontSize)))`); got != "12" {
			t.Errorf("%s: the smallest letters have %s pixels", name, got)
		}
		if got := text(t, ctx, `document.querySelector("h1").textContent`); got != name {
			t.Errorf("the page of %q is named %q", name, got)
		}
		if got := text(t, ctx, `document.querySelectorAll("#live script").length`); got != "0" {
			t.Errorf("%s: a name has become a script", name)
		}
		screenshot(t, ctx, fmt.Sprintf("narrow-%d", len(name)))
	}
	if f.reads.Load() < 20 {
		t.Errorf("only %d readings", f.reads.Load())
	}
}

// TestPageDeclared looks at what is declared, beside what runs: an interface that has drifted is
// shown first and named so in the list, one without a chain is there too, and all of it is text.
func TestPageDeclared(t *testing.T) {
	ctx := browser(t)
	var mended atomic.Bool
	long := "/etc/xdpmux/" + strings.Repeat("long", 30) + ".yaml:2:1: " + evil
	_, _, url := startPage(t, 50*time.Millisecond, func() *Declared {
		d := &Declared{Facts: []Fact{{"Generation", "7"}}, Interfaces: []DeclaredInterface{
			{Name: "eth0", Condition: "as declared", Well: true, Facts: []Fact{{"Generation", "7"}}},
			{Name: evil, Condition: "drifted", Facts: []Fact{{"Differs", "add xdp_drop"}, {"Why", evil}}},
			{Name: "gone0", Condition: "failed", Facts: []Fact{{"Why", long}}},
		}}
		if mended.Load() {
			d.Interfaces[1].Condition, d.Interfaces[1].Well = "as declared", true
		} else {
			d.Troubles = []string{long}
		}
		return d
	})
	if err := chromedp.Run(ctx, log.Enable(), runtime.Enable(), chromedp.EmulateViewport(1100, 700), chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	const shown = `document.querySelector("h1").textContent + "|" + document.querySelector(".condition").textContent + "|" + [...document.querySelectorAll("main dl")].map(d => [...d.children].map(f => [...f.children].map(e => e.textContent).join(" ")).join("; ")).join("|")`
	if got, want := text(t, ctx, shown), evil+"|drifted|Generation 7|Differs add xdp_drop; Why "+evil; got != want {
		t.Errorf("it shows %q, want %q", got, want)
	}
	const list = `[...document.querySelectorAll("nav a")].map(a => a.firstChild.textContent.trim() + (a.querySelector(".ill") ? ": " + a.querySelector(".ill").textContent : "")).join(", ")`
	if got, want := text(t, ctx, list), "eth0, "+evil+": drifted, ten, gone0: failed"; got != want {
		t.Errorf("the list is %q, want %q", got, want)
	}
	if got := text(t, ctx, `document.querySelector("section .ill").textContent`); got != long {
		t.Errorf("the trouble is %q", got)
	}
	screenshot(t, ctx, "declared-wide")
	mended.Store(true)
	address := url + "/?" + neturl.Values{"interface": {evil}}.Encode()
	if err := chromedp.Run(ctx, chromedp.Navigate(address), chromedp.Poll(`document.querySelector(".condition").textContent === "as declared" && !document.querySelector("section .ill")`, nil)); err != nil {
		t.Errorf("mended: %v", err)
	}
	mended.Store(false)
	for i, scheme := range []string{"light", "dark"} {
		address := url + "/?interface=gone0"
		if err := chromedp.Run(ctx, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
			chromedp.EmulateViewport(360, 640), chromedp.Navigate(address), chromedp.Poll(`document.querySelector("section .ill")`, nil)); err != nil {
			t.Fatal(err)
		}
		if got := text(t, ctx, `document.documentElement.scrollWidth`); got != "360" {
			t.Errorf("%s: the page is %s wide on a screen of 360", scheme, got)
		}
		if got, want := text(t, ctx, `getComputedStyle(document.querySelector(".condition")).color`), []string{"rgb(179, 38, 30)", "rgb(255, 138, 128)"}[i]; got != want {
			t.Errorf("%s: what is ill is %s, want %s", scheme, got, want)
		}
		if got := text(t, ctx, `document.querySelectorAll("#live script").length`); got != "0" {
			t.Errorf("a name has become a script")
		}
		screenshot(t, ctx, "declared-narrow-"+scheme)
	}
}

// TestPageLasts has a page take the updates of hours, as fast as they can come, and compares its
// memory. What one update brings are hundreds of nodes.
func TestPageLasts(t *testing.T) {
	ctx := browser(t)
	f, _, url := startPage(t, time.Millisecond, nil)
	updates := uint64(1000)
	if os.Getenv("XDPMUX_TEST_SCALE") == "1" {
		updates = 10_000
	}
	if err := chromedp.Run(ctx, performance.Enable(), chromedp.Navigate(url+"/?interface=ten"),
		chromedp.Evaluate(`window.updates = 0; new MutationObserver(() => window.updates++).observe(document.getElementById("live"), {subtree: true, characterData: true, childList: true, attributes: true})`, nil)); err != nil {
		t.Fatal(err)
	}
	memory := func(after uint64) (heap, nodes float64) {
		t.Helper()
		if err := chromedp.Run(ctx, chromedp.Poll(fmt.Sprintf("window.updates >= %d", after), nil, chromedp.WithPollingTimeout(0)), heapprofiler.CollectGarbage()); err != nil {
			t.Fatal(err)
		}
		var metrics []*performance.Metric
		if err := chromedp.Run(ctx, chromedp.ActionFunc(func(ctx context.Context) (err error) {
			metrics, err = performance.GetMetrics().Do(ctx)
			return err
		})); err != nil {
			t.Fatal(err)
		}
		for _, m := range metrics {
			switch m.Name {
			case "JSHeapUsedSize":
				heap = m.Value
			case "Nodes":
				nodes = m.Value
			}
		}
		return heap, nodes
	}
	heap, nodes := memory(updates / 10)
	grown := true
	var heapLater, nodesLater float64
	// What the browser is about to let go of still counts; what leaks becomes ever more.
	for more := uint64(0); grown && more < 50; more += 5 {
		heapLater, nodesLater = memory(updates + more)
		grown = heapLater > heap+1<<20 || nodesLater > nodes+10_000
	}
	if grown {
		t.Errorf("after %d updates %.0f bytes and %.0f nodes, after %d %.0f bytes and %.0f nodes", updates/10, heap, nodes, updates, heapLater, nodesLater)
	}
	t.Logf("%d readings; %.0f bytes and %.0f nodes, later %.0f and %.0f", f.reads.Load(), heap, nodes, heapLater, nodesLater)
}
