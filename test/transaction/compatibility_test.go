package transaction

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestCompatibility has the native tools of three libxdp share chains with xdpmux in both
// directions. What each can do is a column of docs/compatibility.md, which the last
// subtest holds to it; make test-matrix runs the others and writes the document from the
// lines that they print. A cell says "yes", or "no" and what the tool says: then the chain
// is as it was.
func TestCompatibility(t *testing.T) {
	var series unix.Utsname
	must(t, unix.Uname(&series))
	kernel := regexp.MustCompile(`^\d+\.\d+`).FindString(unix.ByteSliceToString(series.Release[:]))
	found := map[string]string{} // cells by kernel, tool and row
	var all []*matrix
	for _, suite := range []string{"", "trixie", "sid"} {
		all = append(all, newMatrix(t, suite))
	}
	for _, suite := range []string{"trixie", "sid"} {
		if _, err := exec.LookPath("xdpmux-" + suite); err == nil { // make test-matrix has it
			m := newMatrix(t, suite)
			m.xdpmux, m.tool, m.env = "xdpmux-"+suite, m.tool+" in both", nil
			all = append(all, m)
		}
	}
	for _, m := range all {
		t.Run(m.tool, func(t *testing.T) {
			harness.NoLeak(t)
			m.T = t
			m.fill()
			for _, row := range m.rows {
				t.Logf("compatibility: | %s | %s | %s | %s |", kernel, m.tool, row[0], row[1])
				found[kernel+"|"+m.tool+"|"+row[0]] = row[1]
			}
		})
	}
	t.Run("table", func(t *testing.T) {
		written, tried := readCompatibility(t), false
		for cell := range written {
			tried = tried || strings.HasPrefix(cell, kernel+"|")
		}
		if !tried {
			t.Logf("docs/compatibility.md says nothing of Linux %s", kernel)
			return
		}
		for cell, want := range found {
			if written[cell] != want {
				t.Errorf("%s: %q, and docs/compatibility.md says %q; make test-matrix writes it", cell, want, written[cell])
			}
		}
	})
}

// readCompatibility is the table of docs/compatibility.md, by kernel, tool and row.
func readCompatibility(t *testing.T) map[string]string {
	data, err := os.ReadFile("../../docs/compatibility.md")
	must(t, err)
	cells, heads := map[string]string{}, []string{}
	for line := range strings.SplitSeq(string(data), "\n") {
		fields := strings.Split(strings.Trim(line, "| "), " | ")
		switch {
		case strings.HasPrefix(line, "|---"): // below the heads
		case !strings.HasPrefix(line, "| "):
			heads = nil
		case heads == nil:
			heads = fields
		default:
			for i, cell := range fields[1:] {
				cells[strings.TrimPrefix(heads[0], "Linux ")+"|"+heads[i+1]+"|"+fields[0]] = cell
			}
		}
	}
	if len(cells) == 0 {
		t.Fatal("no table in docs/compatibility.md")
	}
	return cells
}

// matrix is what the native tools of one libxdp can do.
type matrix struct {
	*testing.T
	veth    *harness.Veth
	xdpmux  string // ours
	loader  string // theirs
	tool    string // its version
	version int    // of the dispatchers that it writes
	env     []string
	rows    [][2]string
}

// newMatrix takes the tools of a Debian suite, or those beside xdpmux.
func newMatrix(t *testing.T, suite string) *matrix {
	m := &matrix{T: t, xdpmux: harness.Xdpmux(), loader: native, version: 2}
	objects := filepath.Dir(harness.DispatcherObject(t, 2))
	if suite != "" {
		m.loader = harness.NativeLoader(t, suite)
		objects = "/native/" + suite + objects
	}
	if suite == "sid" {
		m.version = 3
	}
	m.env = []string{"LIBXDP_OBJECT_PATH=" + objects}
	says, told, _ := harness.Run(t, m.loader, "status", "--version") // which it calls a failure
	m.tool = regexp.MustCompile(`\d+(\.\d+)+`).FindString(says + told)
	return m
}

// fill makes all chains of the matrix and tells what became of them.
func (m *matrix) fill() {
	m.veth = harness.NewVeth(m.T)
	m.writtenByUs()
	m.writtenByThem()
	m.ofAnotherVersion()
	m.withPacketData()
	m.withMetadata()
	m.ours("unload", "-a")
}

func (m *matrix) writtenByUs() {
	m.ours("load", m.file("verdicts"), "-n", "v_pass", "-P", "20")
	m.say("xdpmux starts a chain", fmt.Sprintf("version %d", m.chain().Version))
	m.shows("the tool shows it")
	m.theirs("the tool joins it", "v_pass v_drop", "load", m.file("verdicts"), "-n", "v_drop", "-P", "30")
	m.theirs("the tool takes a program of its own out", "v_pass", "unload", "-i", m.id("v_drop"))
	if got := m.veth.Deliver(m.T, harness.UDP4(harness.Flow{PayloadLen: 64})); len(got) != 1 {
		m.Errorf("%d packets pass, want one", len(got))
	}
	m.ours("load", m.file("verdicts"), "-n", "v_tx", "-P", "40")
	m.theirs("the tool takes one of xdpmux out", "v_tx", "unload", "-i", m.id("v_pass"))
	m.theirs("the tool cleans beside it", "v_tx", "clean")
	m.theirs("the tool clears it", "", "unload", "-a")
}

func (m *matrix) writtenByThem() {
	m.theirs("the tool starts a chain", "v_pass", "load", m.file("verdicts"), "-n", "v_pass", "-P", "20")
	m.shows("xdpmux shows the same")
	m.us("xdpmux joins it", "v_pass v_drop", "load", m.file("verdicts"), "-n", "v_drop", "-P", "30")
	m.us("xdpmux sets priority and actions", "v_drop v_pass", "set", "-i", m.id("v_pass"), "-P", "40", "--actions", "XDP_TX")
	m.same()
	m.us("xdpmux replaces a program", "v_tx v_pass", "replace", "-i", m.id("v_drop"), m.file("verdicts"), "-n", "v_tx")
	m.theirs("the tool joins what xdpmux has changed", "v_pass_frags v_tx v_pass", "load", m.file("verdicts"), "-n", "v_pass_frags", "-P", "10")
	if p := m.chain().Programs[2]; p.Priority != 40 || p.Actions != *xdp.On(xdp.TX) {
		m.Errorf("%+v has lost what it was set to", p)
	}
	m.same()
	m.us("xdpmux takes a program out", "v_tx v_pass", "unload", "-i", m.id("v_pass_frags"))
	m.same()
	m.us("xdpmux cleans beside it", "v_tx v_pass", "clean")
	m.us("xdpmux clears it", "", "unload", "-a")
}

func (m *matrix) ofAnotherVersion() {
	m.ours("load", m.file("verdicts"), "-n", "v_pass", "-P", "20")
	m.ours("load", m.file("verdicts"), "-n", "v_tx", "-P", "40")
	m.ours("upgrade", "--to", fmt.Sprint(5-m.version))
	m.shows("the tool shows a chain of the other version")
	m.theirs("the tool joins it there", "v_pass v_drop v_tx", "load", m.file("verdicts"), "-n", "v_drop", "-P", "30")
	m.theirs("the tool takes a program out there", "v_tx", "unload", "-i", m.id("v_pass"))
	m.theirs("the tool cleans beside it there", "v_pass v_tx", "clean")
	m.us("xdpmux upgrades it", "v_pass v_tx", "upgrade")
	m.shows("the tool shows it then")
	m.theirs("the tool joins it then", "v_pass v_drop v_tx", "load", m.file("verdicts"), "-n", "v_drop", "-P", "30")
	m.theirs("the tool takes a program out then", "v_drop v_tx", "unload", "-i", m.id("v_pass"))
	m.ours("upgrade", "--to", fmt.Sprint(5-m.version))
	m.theirs("the tool clears one of the other version", "", "unload", "-a")
	m.ours("unload", "-a")
}

func (m *matrix) withPacketData() {
	m.ours("load", m.file("verdicts"), "-n", "v_pass", "-P", "20")
	m.us("xdpmux adds a program that changes packet data", "v_pass move_head", "load", m.file("movehead"), "-P", "60")
	m.shows("the tool shows the chain with it")
	m.theirs("the tool joins the chain with it", "v_pass v_drop move_head", "load", m.file("verdicts"), "-n", "v_drop", "-P", "30")
	m.theirs("the tool clears the chain with it", "", "unload", "-a")
}

// withMetadata has a program ask the driver for metadata, which binds the chain to its device.
func (m *matrix) withMetadata() {
	const row = "a program that asks the driver for metadata joins"
	asks := []string{"load", m.file("metadata"), "-n", "ask_hash", "-P", "60"}
	m.ours("load", m.file("verdicts"), "-n", "v_pass", "-P", "20")
	if harness.KernelBefore(m.T, "6.3") {
		_, stderr, exit := harness.RunEnv(m.T, m.env, m.xdpmux, m.args(asks)...)
		if exit == 0 || m.names() != "v_pass" {
			m.Fatalf("%s: exit status %d, %q\n%s", row, exit, m.names(), stderr)
		}
		m.say(row, "no: "+m.words(stderr))
		m.ours("unload", "-a")
		return
	}
	m.us(row, "v_pass ask_hash", asks...)
	m.shows("the tool shows the chain that is bound for it")
	m.theirs("the tool joins the chain that is bound", "v_pass v_drop ask_hash", "load", m.file("verdicts"), "-n", "v_drop", "-P", "30")
	m.theirs("the tool takes a program out of the chain that is bound", "ask_hash", "unload", "-i", m.id("v_pass"))
	m.theirs("the tool clears the chain that is bound", "", "unload", "-a")
}

func (m *matrix) say(row, cell string) {
	m.rows = append(m.rows, [2]string{row, strings.ReplaceAll(cell, "|", "/")})
}

func (m *matrix) file(name string) string { return absolute(m.T, name) }

// absolute is the path of a fixture, for tools that run in a root of their own.
func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(harness.Fixture(name))
	must(t, err)
	return path
}

func (m *matrix) chain() *dispatcher.Chain { return status(m.T, m.veth.Name) }

func (m *matrix) names() string { return strings.Join(names(m.chain()), " ") }

func (m *matrix) id(name string) string {
	m.Helper()
	for _, p := range m.chain().Programs {
		if p.Name == name {
			return fmt.Sprint(p.ID)
		}
	}
	return "4294967295" // the step before was refused
}

// args puts the interface into a command line. clean takes all interfaces.
func (m *matrix) args(args []string) []string {
	if args[0] == "clean" {
		return args
	}
	return append([]string{args[0], m.veth.Name}, args[1:]...)
}

// ours runs xdpmux as a step that only leads to others.
func (m *matrix) ours(args ...string) {
	m.Helper()
	if m.chain().Dispatcher == nil && args[0] == "unload" {
		return
	}
	if _, stderr, exit := harness.RunEnv(m.T, m.env, m.xdpmux, m.args(args)...); exit != 0 {
		m.Fatalf("xdpmux %q: exit status %d\n%s", args, exit, stderr)
	}
}

// us has xdpmux do something, after which these programs run. It always can.
func (m *matrix) us(row, want string, args ...string) {
	m.Helper()
	m.ours(args...)
	if got := m.names(); got != want || want != "" && m.chain().Version != m.version {
		m.Fatalf("%s: %q in version %d, want %q in version %d", row, got, m.chain().Version, want, m.version)
	}
	checkPins(m.T, m.veth)
	m.say(row, "yes")
}

// theirs has the tool do something, after which these programs run, or the chain is as it
// was.
func (m *matrix) theirs(row, want string, args ...string) {
	m.Helper()
	before := m.chain()
	version := cmp.Or(before.Version, m.version)
	_, stderr, exit := harness.Run(m.T, m.loader, m.args(args)...)
	if exit == 0 && want == "" { // our own pins are left of what the tool takes away
		harness.MustRun(m.T, m.xdpmux, "clean")
	}
	checkPins(m.T, m.veth)
	got := m.names()
	switch {
	case exit == 0 && got == want && (want == "" || m.chain().Version == version):
		m.say(row, "yes")
	case exit != 0 && got == strings.Join(names(before), " ") && m.chain().Dispatcher.ID == before.Dispatcher.ID:
		m.say(row, "no: "+m.words(stderr))
	default:
		m.Fatalf("%s: exit status %d, %q in version %d, want %q in version %d\n%s", row, exit, got, m.chain().Version, want, version, stderr)
	}
}

// shows compares what the two tools show of the interface.
func (m *matrix) shows(row string) {
	m.Helper()
	ours := harness.MustRun(m.T, m.xdpmux, "status", m.veth.Name)
	theirs, stderr, exit := harness.Run(m.T, m.loader, "status", m.veth.Name)
	switch {
	case exit == 0 && ours == theirs:
		m.say(row, "yes")
	case exit != 0:
		m.say(row, "no: "+m.words(stderr))
	default:
		m.Fatalf("%s: xdpmux\n%s%s\n%s", row, ours, m.loader, theirs)
	}
}

// same fails the test unless both show the same, as they did before.
func (m *matrix) same() {
	m.Helper()
	if ours, theirs := harness.MustRun(m.T, m.xdpmux, "status", m.veth.Name), harness.MustRun(m.T, m.loader, "status", m.veth.Name); ours != theirs {
		m.Fatalf("xdpmux\n%s%s\n%s", ours, m.loader, theirs)
	}
}

// words is the last line of what a tool says, without what is of this run.
func (m *matrix) words(stderr string) string {
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	return strings.TrimSpace(strings.ReplaceAll(lines[len(lines)-1], m.veth.Name, "…"))
}
