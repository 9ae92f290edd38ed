package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/capture"
	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/images"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/rehearse"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// statusFailed is the exit status of test if a case failed.
const statusFailed cmdline.ExitStatus = 2

func testCases(c *cli.Context, out *output.Printer) error {
	states := c.StringSlice("file")
	if len(states) == 0 || c.NArg() == 0 {
		return cmdline.UsageError("test needs a state and cases", "xdpmux test -f <file>... <cases-file>...")
	}
	formats := 0
	for _, name := range []string{"tap", "junit", "json"} {
		if c.Bool(name) {
			formats++
		}
	}
	if formats > 1 {
		return cmdline.UsageError("--tap, --junit and --json are three formats", "give one of them")
	}
	files := c.Args().Slice()
	if cmdline.FromStdin(states) && cmdline.FromStdin(files) {
		return cmdline.UsageError("both the state and the cases are to come from standard input", "give one of them as a file")
	}
	out.InFull = true
	state, err := cmdline.ReadState(c.Context, states)
	if err != nil {
		return err
	}
	images.FetchState(c.Context, out, state, c.StringSlice("verify-key"))
	cases, err := cmdline.ReadCases(c.Context, files)
	if err != nil {
		return err
	}
	all, err := newTests(c.Context, state, cases)
	if err != nil {
		return err
	}
	results := []caseJSON{}
	failed := 0
	for _, t := range all {
		r, err := t.run(c.Context)
		if err != nil {
			return err
		}
		results = append(results, r)
		if !r.Passed {
			failed++
		}
	}
	if err := printCases(c, out, results, failed); err != nil {
		return err
	}
	if failed > 0 {
		return statusFailed
	}
	return nil
}

// caseTest is a case with all that it is about. Nothing runs before each case has that.
type caseTest struct {
	desired.Case
	programs []desired.CaseProgram
	packet   []byte
}

func newTests(ctx context.Context, state *desired.State, cases []desired.Case) (all []caseTest, err error) {
	captures := map[string][][]byte{}
	for _, c := range cases {
		t := caseTest{Case: c}
		if t.programs, err = c.Programs(ctx, state); err != nil {
			return nil, err
		}
		if t.packet, err = packetOfCase(ctx, c.Packet, captures); err != nil {
			return nil, c.Packet.Wrong(err)
		}
		if len(t.packet) < observe.MinLen {
			return nil, c.Packet.Wrong(fmt.Errorf("a packet of %d bytes, and the shortest has %d", len(t.packet), observe.MinLen))
		}
		all = append(all, t)
	}
	return all, nil
}

// packetOfCase are the bytes that come in. captures are those that have been read.
func packetOfCase(ctx context.Context, p desired.CasePacket, captures map[string][][]byte) ([]byte, error) {
	switch {
	case p.Hex != nil:
		return p.Hex, nil
	case p.Pcap == "":
		return packetOf(p.Words)
	}
	packets, read := captures[p.Pcap]
	if !read {
		file, err := openCapture(ctx, p.Pcap)
		if err != nil {
			return nil, err
		}
		defer file.close()
		err = file.each(ctx, func(_ int, packet capture.Packet) error {
			packets = append(packets, bytes.Clone(packet.Data))
			return nil
		})
		if err != nil {
			return nil, err
		}
		captures[p.Pcap] = packets
	}
	if p.Number > len(packets) {
		return nil, fmt.Errorf("there is no packet %d among the %d of %s", p.Number, len(packets), p.Pcap)
	}
	return packets[p.Number-1], nil
}

// caseJSON is the shape of a case in test --json.
type caseJSON struct {
	Name     string   `json:"name"`
	Where    string   `json:"where"` // "file:line:column"
	Passed   bool     `json:"passed"`
	Packet   string   `json:"packet"`   // as trace describes it
	Verdict  string   `json:"verdict"`  // what came of it
	Program  string   `json:"program"`  // the state's name of the one that decided; empty: none did
	Way      []stepOf `json:"way"`      // the programs that it met, in their order
	Failures []string `json:"failures"` // what is other than expected, in words
	Limits   []string `json:"limits"`   // what a test run can't show
}

// stepOf is what one program said.
type stepOf struct {
	Program string `json:"program"` // its name in the state
	Verdict string `json:"verdict"`
}

func (s stepOf) String() string { return output.Shown(s.Program) + " " + s.Verdict }

// run sends the packet through a chain of its own, so that no case depends on another.
func (t caseTest) run(ctx context.Context) (_ caseJSON, err error) {
	result := caseJSON{Name: t.Name, Where: t.Where(), Packet: string(newDissector().summary(t.packet)), Way: []stepOf{}, Failures: []string{}, Limits: []string{}}
	var programs []xdp.Program
	for _, p := range t.programs {
		programs = append(programs, p.Program)
	}
	chain, err := rehearse.OpenChain(ctx, programs)
	if err != nil {
		return result, fmt.Errorf("%s: %w", t.Where(), err)
	}
	defer func() { err = errors.Join(err, chain.Close()) }()
	trace, err := chain.Run(t.packet)
	if err != nil {
		return result, t.Packet.Wrong(err)
	}
	name := func(place int) string { return t.programs[chain.Order[place]].Name }
	for i, s := range trace.Steps {
		result.Way = append(result.Way, stepOf{name(i), verdictName(s.Verdict)})
	}
	result.Verdict = verdictName(trace.Verdict)
	if at := place(trace); at >= 0 {
		result.Program = name(at)
	}
	for i, whys := range chain.Limits {
		for _, why := range whys {
			result.Limits = append(result.Limits, name(i)+": "+why)
		}
	}
	fail := func(format string, args ...any) {
		result.Failures = append(result.Failures, fmt.Sprintf(format, args...))
	}
	if trace.Verdict != t.Verdict {
		fail("the verdict is %s, and %v was expected", result.Verdict, t.Verdict)
	}
	if t.DecidedBy != "" && t.DecidedBy != result.Program {
		by := "the dispatcher"
		if result.Program != "" {
			by = result.Program
		}
		fail("%s decided, and %s was expected", by, t.DecidedBy)
	}
	want := t.Bytes.Hex
	if t.Bytes.Same {
		want = t.packet
	}
	if want != nil && !bytes.Equal(want, trace.Data) {
		fail("%s", otherBytes(trace.Data, want))
	}
	result.Passed = len(result.Failures) == 0
	return result, nil
}

// otherBytes says where two packets begin to differ.
func otherBytes(got, want []byte) string {
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	const shown = 16
	from := func(data []byte) string { return hex.EncodeToString(data[min(at, len(data)):min(at+shown, len(data))]) }
	return fmt.Sprintf("other bytes from byte %d on: %s, and %s were expected (%d bytes, and %d were expected)", at, from(got), from(want), len(got), len(want))
}

// way is what the packet met, in words.
func (r caseJSON) way() string {
	var words []string
	for _, s := range r.Way {
		words = append(words, s.String())
	}
	by := "the dispatcher"
	if r.Program != "" {
		by = output.Shown(r.Program)
	}
	return fmt.Sprintf("%s: %s => %s by %s", r.Packet, strings.Join(words, ", "), r.Verdict, by)
}

// details are the lines that explain a failure.
func (r caseJSON) details() []string {
	lines := append([]string{}, r.Failures...)
	lines = append(lines, r.way())
	for _, l := range r.Limits {
		lines = append(lines, "a test run can't show all of "+l)
	}
	for i := range lines {
		lines[i] = output.Shown(lines[i])
	}
	return lines
}

func printCases(c *cli.Context, out *output.Printer, results []caseJSON, failed int) error {
	switch {
	case c.Bool("json"):
		return out.PrintJSON(results)
	case c.Bool("junit"):
		return printJUnit(out.Stdout, results, failed)
	}
	w := bufio.NewWriter(out.Stdout)
	if c.Bool("tap") {
		printTAP(w, results)
	} else {
		printText(w, results, failed)
	}
	return w.Flush()
}

func printText(w io.Writer, results []caseJSON, failed int) {
	for _, r := range results {
		if r.Passed {
			fmt.Fprintf(w, "ok    %s\n", output.Shown(r.Name))
			continue
		}
		fmt.Fprintf(w, "FAIL  %s (%s)\n", output.Shown(r.Name), output.Shown(r.Where))
		for _, line := range r.details() {
			fmt.Fprintf(w, "      %s\n", line)
		}
	}
	fmt.Fprintf(w, "%d passed, %d failed\n", len(results)-failed, failed)
}

// printTAP prints what version 13 of the Test Anything Protocol wants.
func printTAP(w io.Writer, results []caseJSON) {
	fmt.Fprintf(w, "TAP version 13\n1..%d\n", len(results))
	for i, r := range results {
		// A # would begin a directive.
		line := fmt.Sprintf("ok %d - %s\n", i+1, strings.ReplaceAll(output.Shown(r.Name), "#", `\#`))
		if r.Passed {
			io.WriteString(w, line)
			continue
		}
		fmt.Fprintf(w, "not %s# %s\n", line, output.Shown(r.Where))
		for _, line := range r.details() {
			fmt.Fprintf(w, "# %s\n", line)
		}
	}
}

// printJUnit prints the XML that continuous integration reads.
func printJUnit(w io.Writer, results []caseJSON, failed int) error {
	type failure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	type testCase struct {
		Name      string   `xml:"name,attr"`
		ClassName string   `xml:"classname,attr"` // the file
		Failure   *failure `xml:"failure"`
	}
	type suite struct {
		XMLName  xml.Name   `xml:"testsuite"`
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Cases    []testCase `xml:"testcase"`
	}
	s := suite{Name: "xdpmux test", Tests: len(results), Failures: failed}
	for _, r := range results {
		file, _, _ := strings.Cut(r.Where, ":")
		one := testCase{Name: r.Name, ClassName: file}
		if !r.Passed {
			one.Failure = &failure{r.Failures[0], r.Where + "\n" + strings.Join(r.details(), "\n")}
		}
		s.Cases = append(s.Cases, one)
	}
	text, err := xml.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	return err
}
