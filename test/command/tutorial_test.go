package command

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdpmux/xdpmux/test/harness"
)

// pageStep is a command and what the page shows below it.
type pageStep struct {
	line    int
	command string
	output  string
}

// stepsOf reads the console blocks, where a command stands behind a prompt.
func stepsOf(t *testing.T, page string) []pageStep {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var all []pageStep
	inside := false
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case line == "```console":
			inside = true
		case strings.HasPrefix(line, "```"):
			inside = false
		case inside && (strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "$ ")):
			all = append(all, pageStep{line: i + 1, command: line[2:]})
		case inside:
			all[len(all)-1].output += line + "\n"
		}
	}
	return all
}

// masks are what differs from run to run, and between machines.
var masks = []struct {
	what *regexp.Regexp
	mask string
}{
	{regexp.MustCompile(`\b[0-9a-f]{16}\b`), "TAG"},
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "DIGEST"},
	{regexp.MustCompile(`[0-9]+ bytes\b`), "N bytes"},
	{regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]+[+-][0-9]{4}`), "TIME"},
	{regexp.MustCompile(`[0-9]+ +TAG`), "ID TAG"},         // status
	{regexp.MustCompile(`\bid [0-9]+`), "id ID"},          // ip link
	{regexp.MustCompile(`btf_id [0-9]+`), "btf_id ID"},    // bpftool
	{regexp.MustCompile(`jited [0-9]+B`), "jited N"},      // depends on the kernel
	{regexp.MustCompile(`\([0-9]+\)`), "(ID)"},            // map list
	{regexp.MustCompile(`@if[0-9]+`), "@ifN"},             // ip link
	{regexp.MustCompile(`ether [0-9a-f:]+`), "ether MAC"}, // ip link
	{regexp.MustCompile(`total +[0-9,]+ +[0-9,]+`), "total N N"},
	{regexp.MustCompile(`(?m)(^ +cpu [0-9]+: [0-9]+\n)+`), " cpu N: N\n"}, // a line for each CPU
	{regexp.MustCompile(`sum: [0-9]+`), "sum: N"},
	// Programs that go on until they are stopped print as often as they come to it.
	{regexp.MustCompile(`(?m)(^cpu [0-9]: [0-9]+ packets \([0-9]+%\), 0 dropped\n)+`), "cpu N: N packets (N%), 0 dropped\n"},
	{regexp.MustCompile(`(?m)(^[1-9][0-9]* packets dropped, [0-9]+ in a second\n)+`), "N packets dropped, N in a second\n"},
	{regexp.MustCompile(`(?m)(^[1-9][0-9]* packets, [0-9]+ in a second\n)+`), "N packets, N in a second\n"},
	{regexp.MustCompile(`(?m)^[1-9][0-9]* packets, [0-9]+ bytes`), "N packets, N bytes"},
	{regexp.MustCompile(`packets: [0-9]+, hashed: [0-9]+, last_hash: [0-9]+`), "packets: N, hashed: N, last_hash: N"},
	{regexp.MustCompile(`(?m)^xdpmux: warning: native tools can't .*\n  .*\n`), ""}, // kernels before 6.3 bind no chain
	{regexp.MustCompile(`(?m)^[0-9]+(:? +[a-z])`), "ID$1"},                          // bpftool prog, ip link, map list
	{regexp.MustCompile(` +`), " "}, // numbers of another length move the columns
	{regexp.MustCompile(`(?m) +$`), ""},
}

func masked(s string) string {
	for _, m := range masks {
		s = m.what.ReplaceAllString(s, m.mask)
	}
	return s
}

// shell is a bash that commands are given to one by one.
type shell struct {
	stdin io.Writer
	out   *bufio.Reader
}

func newShell(t *testing.T) *shell {
	t.Helper()
	cmd := exec.Command("bash", "-c", "exec 2>&1; exec bash")
	cmd.Dir = "../.."
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait()
	})
	return &shell{stdin: stdin, out: bufio.NewReader(stdout)}
}

// run gives the command to the shell and returns what it printed.
func (s *shell) run(t *testing.T, command string) string {
	t.Helper()
	const end = "end of the output of this step"
	if _, err := fmt.Fprintf(s.stdin, "%s\necho '%s'\n", command, end); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: the shell is gone: %v\n%s", command, err, &text)
		}
		if line == end+"\n" {
			return text.String()
		}
		text.WriteString(line)
	}
}

// TestTutorial runs each command of the console blocks of docs/tutorial.md, in one shell,
// and compares what it prints with what the page shows.
func TestTutorial(t *testing.T) {
	harness.NoLeak(t)
	all := stepsOf(t, "../../docs/tutorial.md")
	if len(all) < 30 {
		t.Fatalf("only %d commands found", len(all))
	}
	runSteps(t, "docs/tutorial.md", all)
}

// runSteps runs the commands of a page in one shell, and compares what they print with the page.
func runSteps(t *testing.T, page string, all []pageStep) {
	t.Helper()
	s := newShell(t)
	for _, step := range all {
		got := s.run(t, step.command)
		if diff := cmp.Diff(masked(step.output), masked(got)); diff != "" {
			t.Errorf("%s:%d: %s (-page +got)\n%s\nprinted:\n%s", page, step.line, step.command, diff, got)
		}
	}
}

func TestMasksKeepWhatMatters(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{" =>              5      xdp_count                 60   8b87438288e11ed4  XDP_PASS\n", " => 5 xdp_count ID TAG XDP_PASS\n"},
		{"total 2,133  1,066 pkt/s\n", "total N N pkt/s\n"},
		{"0:\n  cpu 0: 1\n  cpu 1: 2\n  sum: 3\n", "0:\n cpu N: N\n sum: N\n"},
		{"2 packets dropped, 1 in a second\n12 packets dropped, 3 in a second\n", "N packets dropped, N in a second\n"},
		{"0 packets dropped, 0 in a second\n", "ID packets dropped, 0 in a second\n"}, // not what the page shows
		{"14  rxcnt  percpu_array  4    8      1            yes  xdp_drop (73)\n", "ID rxcnt percpu_array 4 8 1 yes xdp_drop (ID)\n"},
		{"xdp      xdp_drop  xdp   2      50    XDP_PASS\n", "xdp xdp_drop xdp 2 50 XDP_PASS\n"},
	} {
		if got := masked(c.in); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
