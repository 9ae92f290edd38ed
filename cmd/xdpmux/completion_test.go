package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
)

// TestMain makes this binary xdpmux where it is started by that name, as the
// shells of these tests do.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "xdpmux" {
		main()
	}
	os.Exit(m.Run())
}

// completed is a line with what its last word can be.
type completed struct {
	line string
	want string // the candidates, whole words; with a trailing ... among others
}

var completions = []completed{
	{"", "load unload status clean check help ..."},
	{"sta", "stats status"},
	{"-v unl", "unload"},
	{"--netns /proc/self/ns/net unl", "unload"},
	{"-P 3 loa", "load"},
	{"--ver", "--verbose --version"},
	{"--netns=/proc/self/ns/net unload -a l", "lo ..."},
	{"nonesuch ", ""},
	{"help pl", "plan"},
	{"help map ", "delete dump list update"},
	{"completion ", "bash fish zsh"},
	{"map ", "delete dump list update"},

	// Interfaces, also of commands that are called by a prefix.
	{"load l", "lo ..."},
	{"load lo,l", "lo,lo ..."},
	{"unload -a l", "lo ..."},
	{"stat l", "lo ..."},
	{"status lo l", "lo ..."},
	{"status lo,l", "lo,lo ..."},
	{"unload -a lo l", "lo ..."},
	{"stats lo,l", "lo,lo ..."},
	{"export lo,l", "lo,lo ..."},
	{"clean l", "lo ..."},
	{"features l", "lo ..."},
	{"features lo ", ""},
	{"load --netns=/proc/self/ns/net l", "lo ..."},
	{"check --json l", "lo ..."},
	{"run l", "lo ..."},
	{"replace -i 7 l", "lo ..."},
	{"set l", "lo ..."},
	{"upgrade l", "lo ..."},
	{"export lo l", "lo ..."},
	{"stats -c 5 l", "lo ..."},
	{"top l", "lo ..."},
	{"trace --live l", "lo ..."},
	{"map list l", "lo ..."},
	{"map dump l", "lo ..."},
	{"image ", "build inspect pull push"},
	{"image pull --ver", "--verbose --verify-key --version"},

	// Options and their values.
	{"load --mo", "--mode"},
	{"status -", "--force --help --interval --json --netns --svg --verbose --version --watch"},
	{"load -m ", "hw native skb unspecified"},
	{"load lo a.o --mode s", "skb"},
	{"load --mode=s", "--mode=skb"},
	{"load --mode=", "--mode=hw --mode=native --mode=skb --mode=unspecified"},
	{"load lo -A XDP_PASS,XDP_T", "XDP_PASS,XDP_TX"},
	{"set lo --actions=XDP_PASS,XDP_T", "--actions=XDP_PASS,XDP_TX"},
	{"trace lo --live --verdict XDP_DROP,ot", "XDP_DROP,other"},
	{"trace lo -w x --at ", "arrival chain programs"},
	{"trace lo -w a.", "a.o"},
	{"load lo -P ", ""},
	{"stats lo --interval ", ""},
	{"load lo a.o -s ", "xdp/good xdp/refused"},
	{"load lo a.o@prio=3 -n g", "good"},
	{"load lo ~/a.o -n g", "good"},
	{"replace lo a.o --section=xdp/g", "--section=xdp/good"},
	{"run lo a.o --map ", "pinned_packets"},
	{"unload lo -i ", ""},
	{"upgrade lo --to ", "2 3"},

	// Files.
	{"load lo a.", "a.o"},
	{"load lo a.o dir/", "dir/b.o"},
	{"run lo a.", "a.o"},
	{"replace lo a.", "a.o"},
	{"inspect a.o a.", "a.o"},
	{"plan -f a.", "a.o"},
	{"apply a.", "a.o"},
	{"test -f a.", "a.o"},
	{"test -f a.o a.", "a.o"},
	{"trace lo --pcap a.", "a.o"},
	{"trace lo --out=di", "--out=dir"},
	{"load lo a.o -p di", "dir"},

	// The settings of a file.
	{"load lo a.o@", "a.o@actions= a.o@name= a.o@pin= a.o@prio= a.o@section="},
	{"load lo a.o@prio=10,p", "a.o@prio=10,pin="},
	{"load lo b.o@prio", ""},
	{"load lo a.o@prio=", ""},
	{"load lo a.o@actions=XDP_PASS+XDP_T", "a.o@actions=XDP_PASS+XDP_TX"},
	{"load lo a.o@prio=10,actions=XDP_D", "a.o@prio=10,actions=XDP_DROP"},
	{"load lo a.o@name=g", "a.o@name=good"},
	{"load lo a.o dir/b.o@prio=1,section=xdp/g", "dir/b.o@prio=1,section=xdp/good"},
	{"load lo a.o@pin=di", "a.o@pin=dir"},
	{"run lo a.o@prio=10,p", "a.o@prio=10,pin="},
	{"replace lo a.o@name=g", "a.o@name=good"},
}

// keys are what the tests type: C-x a inserts all candidates, C-x d shows the line
// to the test.
const (
	bashKeys = `bind '"\C-xa": insert-completions'
bind -x '"\C-xd": printf "%s\0" "$READLINE_LINE" >&3'
`
	zshKeys = `all() { _main_complete; compstate[insert]=all; compstate[list]= }
dump() { print -rn -- "$BUFFER"$'\0' >&3 }
zle -C all complete-word all; zle -N dump
bindkey -e; bindkey '^xa' all; bindkey '^xd' dump
`
)

const prompt = "what? "

// limit is longer than a shell takes for all lines, on a busy machine too.
const limit = time.Minute

// lineEditor is a shell whose lines are typed.
type lineEditor struct {
	args []string
	rc   string // what it reads first
}

var lineEditors = map[string]lineEditor{
	"bash": {[]string{"bash", "--noprofile", "--rcfile", ".zshrc", "-i"}, `eval "$(xdpmux completion bash)"` + "\n" + bashKeys},
	"zsh":  {[]string{"zsh", "-d", "-i"}, "autoload -U compinit && compinit -u -D\n" + `eval "$(xdpmux completion zsh)"` + "\n" + zshKeys},
	// As make install installs it.
	"zsh, autoloaded": {[]string{"zsh", "-d", "-i"}, `mkdir -p .functions && xdpmux completion zsh >.functions/_xdpmux
fpath=($PWD/.functions $fpath); autoload -U compinit && compinit -u -D
` + zshKeys},
}

// Every shell completes the same, through its own machinery.
func TestCompletion(t *testing.T) {
	h, cases := newHome(t), completions
	if os.Getuid() == 0 {
		cases = append(cases, h.live(t)...)
	} else {
		t.Log("left out: only root can load a program, so that its id is completed")
	}
	var lines []string
	for _, c := range cases {
		lines = append(lines, "xdpmux "+c.line)
	}
	shells := map[string]func(*testing.T, *shellHome, []string) [][]string{"fish": fish}
	for name, e := range lineEditors {
		shells[name] = e.candidates
	}
	for name, complete := range shells {
		t.Run(name, func(t *testing.T) {
			for i, got := range complete(t, h, lines) {
				want := strings.Fields(cases[i].want)
				among := len(want) > 0 && want[len(want)-1] == "..."
				if among {
					want = want[:len(want)-1]
					got = slices.DeleteFunc(got, func(word string) bool { return !slices.Contains(want, word) })
				}
				slices.Sort(want)
				slices.Sort(got)
				if !slices.Equal(slices.Compact(got), want) {
					t.Errorf("%q: %q, want %q", cases[i].line, got, want)
				}
			}
		})
	}
}

// What is left of a line after TAB: a space behind a word that is whole, and none
// where its value is to follow.
func TestCompletionByTab(t *testing.T) {
	h := newHome(t)
	lines := []string{"xdpmux unlo", "xdpmux load lo a.o@pr", "xdpmux load lo a.o@prio=1,n", "xdpmux load lo a.o@name=g", "xdpmux load --mode=s", "xdpmux load lo a."}
	want := []string{"xdpmux unload ", "xdpmux load lo a.o@prio=", "xdpmux load lo a.o@prio=1,name=", "xdpmux load lo a.o@name=good ", "xdpmux load --mode=skb ", "xdpmux load lo a.o "}
	for name, e := range lineEditors {
		t.Run(name, func(t *testing.T) {
			if got := e.edit(t, h, "\t", lines); !slices.Equal(got, want) {
				t.Errorf("%q\nwant %q", got, want)
			}
		})
	}
}

// shellHome is the directory that the shells are in, and their home.
type shellHome struct {
	dir, bin string
	wrap     []string // goes before every program
}

func newHome(t *testing.T) *shellHome {
	t.Helper()
	h := &shellHome{dir: t.TempDir(), bin: t.TempDir()}
	self, err := os.Executable()
	must(t, err)
	must(t, os.Symlink(self, filepath.Join(h.bin, "xdpmux")))
	must(t, os.Mkdir(filepath.Join(h.dir, "dir"), 0o700))
	for name, object := range map[string]string{"a.o": "fixtures/pinned.o", "dir/b.o": "fixtures/pinned.o", "count.o": "xdp_count.o"} {
		content, err := os.ReadFile("../../build/bpf/" + object)
		if err != nil {
			t.Fatalf("make test builds what is missing: %v", err)
		}
		must(t, os.WriteFile(filepath.Join(h.dir, name), content, 0o600))
	}
	return h
}

func (h *shellHome) command(args ...string) *exec.Cmd {
	args = append(slices.Clone(h.wrap), args...)
	path := h.bin + ":" + os.Getenv("PATH")
	cmd := exec.Command("env", append([]string{"PATH=" + path}, args...)...)
	cmd.Dir = h.dir
	cmd.Env = append(os.Environ(), "HOME="+h.dir, "ZDOTDIR="+h.dir, "TERM=dumb", "INPUTRC=/dev/null", "LC_ALL=C.UTF-8")
	return cmd
}

func (h *shellHome) run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := h.command(args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, errs.String())
	}
	return string(out)
}

// edit types the lines, a key behind each, and returns what becomes of them.
func (e lineEditor) edit(t *testing.T, h *shellHome, key string, lines []string) []string {
	t.Helper()
	cmd := h.command(e.args...)
	must(t, os.WriteFile(filepath.Join(cmd.Dir, ".zshrc"), []byte(e.rc+"PS1='"+prompt+"'\n"), 0o600))
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	cmd.ExtraFiles = []*os.File{w}
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: 1000})
	w.Close()
	must(t, err)
	ready, shown := make(chan bool), make(chan string)
	go func() {
		screen := ""
		for b := make([]byte, 4096); ; {
			n, err := terminal.Read(b) // ends with the terminal's other side
			before := strings.Contains(screen, prompt)
			if screen += string(b[:n]); !before && strings.Contains(screen, prompt) {
				close(ready)
			}
			if err != nil {
				shown <- screen
				return
			}
		}
	}()
	// What is typed earlier, the terminal and not the shell would edit.
	select {
	case <-ready:
	case <-time.After(limit):
	}
	must(t, r.SetReadDeadline(time.Now().Add(limit)))
	var edited []string
	for buffers := bufio.NewReader(r); len(edited) < len(lines) && err == nil; {
		_, err = io.WriteString(terminal, lines[len(edited)]+key+"\x18d\x15") // C-u
		if err == nil {
			var buffer string
			buffer, err = buffers.ReadString(0)
			edited = append(edited, strings.TrimSuffix(buffer, "\x00"))
		}
	}
	must(t, errors.Join(cmd.Process.Kill(), ignoreExit(cmd.Wait())))
	screen := <-shown
	terminal.Close()
	if err != nil {
		t.Fatalf("%v after %q\n%s", err, edited, screen)
	}
	return edited
}

func ignoreExit(err error) error {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil
	}
	return err
}

// candidates has the shell insert all candidates in place of the last word, or of
// the part of it behind the last character that parts words.
func (e lineEditor) candidates(t *testing.T, h *shellHome, lines []string) [][]string {
	t.Helper()
	all := make([][]string, len(lines))
	for i, edited := range e.edit(t, h, "\x18a", lines) {
		if edited == lines[i] {
			continue
		}
		space := strings.LastIndex(lines[i], " ") + 1
		word := lines[i][space:]
		kept := word[:strings.LastIndexAny(word, "=@:")+1]
		for j, candidate := range strings.Fields(edited[space:]) {
			if j > 0 && !strings.HasPrefix(candidate, kept) {
				candidate = kept + strings.TrimPrefix(candidate, "@") // bash repeats it
			}
			all[i] = append(all[i], strings.TrimSuffix(candidate, "/")) // bash lists directories without
		}
	}
	return all
}

// fish has a command for what it would complete.
func fish(t *testing.T, h *shellHome, lines []string) [][]string {
	t.Helper()
	const script = "xdpmux completion fish | source; for line in $argv; complete -C $line; echo --; end"
	out := h.run(t, append([]string{"fish", "--no-config", "-c", script}, lines...)...)
	var all [][]string
	for block := range strings.SplitSeq(strings.TrimSuffix(out, "--\n"), "--\n") {
		all = append(all, strings.Fields(strings.ReplaceAll(block, "/\n", "\n")))
	}
	return all
}

// live makes an interface with a program, in a network namespace that the shells
// are in from then on.
func (h *shellHome) live(t *testing.T) []completed {
	t.Helper()
	var netns *os.File
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			netns, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		}
		done <- err
	}()
	must(t, <-done)
	t.Cleanup(func() { netns.Close() })
	h.wrap = []string{"nsenter", fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), netns.Fd())}
	h.run(t, "ip", "link", "set", "lo", "up")
	h.run(t, "ip", "link", "add", "cw0", "type", "veth", "peer", "cw1")
	h.run(t, "xdpmux", "load", "-m", "skb", "cw0", "count.o")
	t.Cleanup(func() { h.run(t, "xdpmux", "unload", "-a", "cw0") })
	var chains []dispatcher.Chain
	must(t, json.Unmarshal([]byte(h.run(t, "xdpmux", "status", "--json", "cw0")), &chains))
	var maps []maps.Used
	must(t, json.Unmarshal([]byte(h.run(t, "xdpmux", "map", "list", "--json", "cw0")), &maps))
	program, packets := chains[0].Legacy, maps[0]
	if program == nil {
		program = &chains[0].Programs[0].Loaded
	}
	return []completed{
		{"unload ", "cw0 cw1 lo"},
		{"unload cw0 -i ", fmt.Sprint(program.ID)},
		{"unload lo,cw0 --id=", fmt.Sprintf("--id=%d", program.ID)},
		{"unload lo -i ", ""},
		{"unload -i ", fmt.Sprint(program.ID)},
		{"replace cw0 a.o --name ", program.Name},
		{"set cw0 -i ", fmt.Sprint(program.ID)},
		{"trace cw0 --live --name ", program.Name},
		{"trace cw0 --live -i ", fmt.Sprint(program.ID)},
		{"unload cw0 --name ", program.Name},
		{"map dump cw0 ", packets.Name},
		{"map dump cw0 --name ", packets.Name},
		{"map update cw0 -i ", fmt.Sprint(packets.ID)},
		{"map dump cw0 -i ", fmt.Sprint(packets.ID)},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
