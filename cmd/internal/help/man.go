package help

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/output"
)

// Man is the man page of a program, in man(7).
func Man(app *cli.App) string {
	var m manPage
	m.write(app)
	return m.String()
}

// manPage writes man(7). Its text is that of --help, and of the sections below.
type manPage struct{ strings.Builder }

// manSection is one that isn't made from the commands.
type manSection struct {
	name  string
	items [][2]string // terms and texts
}

var manSections = []manSection{
	{"EXIT STATUS", [][2]string{
		{"0", "What was asked for is done. An end by Ctrl-C of what goes on for a while is one, too."},
		{"1", "Something went wrong, which standard error tells. A change of a chain was not made, or not on the interfaces that are named."},
		{"2", "plan: there is something to do. With --pcap or --live: a packet would meet something else. test: a case failed."},
		{"3", "The change was made, and was taken back: see --confirm."},
	}},
	{"ENVIRONMENT", [][2]string{
		{"LIBXDP_BPFFS", "Where the bpffs is mounted, instead of /sys/fs/bpf."},
		{"LIBXDP_BPFFS_AUTOMOUNT", "1: mount it where it isn't."},
		{"LIBXDP_SKIP_DISPATCHER", "1: load a single program without a dispatcher."},
		{"LIBXDP_OBJECT_PATH", "Where libxdp's own objects lie."},
		{"DOCKER_CONFIG, REGISTRY_AUTH_FILE", "Where the credentials for registries are, if not in ~/.docker."},
		{"HTTPS_PROXY, NO_PROXY", "The proxy by which registries are reached, and which of them without."},
		{"SOURCE_DATE_EPOCH", "image build: all times in the image, in seconds since 1970."},
		{"NO_COLOR", "If it is set to anything, there are no colours."},
		{"TERM", "dumb: what is repeated on a terminal stands one below the other."},
	}},
	{"FILES", [][2]string{
		{"/sys/fs/bpf/xdp/", "The pins that hold the programs of chains, where libxdp and its tools have them too. Those of pending-* hold what a change that waits to be confirmed has replaced."},
		{"/run/xdpmux/", "What was loaded through xdpmux, for the next apply and for export."},
		{"/run/xdpmux/pending/", "The changes that wait to be confirmed."},
		{"/run/xdpmux/agent/", "What the agent knows, for the next one."},
		{"/var/lib/xdpmux/history/", "What was changed, by whom, and how it ended. It is root's alone, and takes at most 8 MiB."},
		{"/var/lib/xdpmux/objects/", "Copies of what was loaded, for undo. It is root's alone, and takes at most 64 MiB."},
		{"/var/lib/xdpmux/images/", "What images stand for; their objects are among those above."},
		{"/run/netns/", "The network namespaces that --netns names."},
		{"/etc/xdpmux/", "The state files that xdpmux-apply.service applies at boot, and that the agent keeps."},
	}},
}

func (m *manPage) write(app *cli.App) {
	fmt.Fprintf(m, ".TH XDPMUX 8 \"\" \"xdpmux %s\" \"System administration\"\n", roff(output.Version()))
	m.WriteString(".nh\n.ad l\n")
	m.section("NAME")
	m.paragraph(app.Name + " - " + app.Usage)
	m.section("SYNOPSIS")
	m.WriteString(".B xdpmux\n\\fICOMMAND\\fR [\\fIoptions\\fR] [\\fIarguments\\fR]\n")
	m.section("DESCRIPTION")
	m.paragraph(app.Description)
	m.paragraph("xdpmux takes the calls of xdp-loader(8). Options may stand anywhere, also before the command; of names of " +
		"commands and options the beginning is enough if it is clear. Several interfaces are named as eth0,eth1 or as eth0 eth1. " +
		"Every command that prints facts has --json.")
	m.section("OPTIONS OF EVERY COMMAND")
	m.options(CommonFlags())
	m.section("COMMANDS")
	for _, c := range app.Commands {
		m.command(c)
	}
	for _, s := range manSections {
		m.section(s.name)
		for _, item := range s.items {
			m.item(`\fB`+roff(item[0])+`\fR`, item[1])
		}
	}
	m.section("EXAMPLES")
	for _, name := range []string{"load", "status", "unload"} {
		m.examples(Examples[name][:1])
	}
	m.paragraph("The commands have more, each at its end.")
	m.section("SEE ALSO")
	m.paragraph("xdp-loader(8), xdp-filter(8), bpftool(8), ip-link(8), ip-netns(8)")
}

func (m *manPage) section(name string) { m.WriteString(".SH " + name + "\n") }

func (m *manPage) paragraph(text string) {
	m.WriteString(".PP\n" + roff(text) + "\n")
}

// item is a term, in roff already, and what it is.
func (m *manPage) item(term, text string) {
	m.WriteString(".TP\n" + term + "\n" + roff(text) + "\n")
}

func (m *manPage) command(c *cli.Command) {
	if c.Hidden {
		return
	}
	if len(c.Subcommands) > 0 {
		for _, sub := range c.Subcommands {
			m.command(sub)
		}
		return
	}
	m.WriteString(".SS " + roff(FullName(c)) + "\n")
	call, rest, _ := strings.Cut(Synopsis(c), FullName(c))
	m.WriteString(".PP\n.B " + roff(call+FullName(c)) + "\n" + roff(strings.TrimSpace(rest)) + "\n")
	m.paragraph(strings.ToUpper(c.Usage[:1]) + c.Usage[1:] + ".")
	for _, p := range paragraphs(c.Description) {
		m.paragraph(p)
	}
	m.options(OwnFlags(c))
	m.examples(ExamplesOf(c))
}

func (m *manPage) options(flags []cli.Flag) {
	for _, flag := range flags {
		o := Describe(flag)
		term := `\fB` + roff("--"+o.Long) + `\fR`
		if o.Short != "" {
			term = `\fB` + roff("-"+o.Short) + `\fR, ` + term
		}
		if o.Metavar != "" {
			term += ` \fI` + roff(o.Metavar) + `\fR`
		}
		m.item(term, o.Text)
	}
}

func (m *manPage) examples(all []Example) {
	for _, e := range all {
		m.WriteString(".PP\n.nf\n# " + roff(e.What) + "\n.B " + strings.ReplaceAll(roff(e.Call), `"`, `\(dq`) + "\n.fi\n")
	}
}

// roff escapes what man(7) wouldn't take literally.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}
