package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/test/harness"
)

// newBPFFS mounts a bpffs that xdpmux uses with env.
func newBPFFS(t *testing.T, options string) (dir string, env []string) {
	t.Helper()
	dir = t.TempDir()
	must(t, unix.Mount("bpf", dir, "bpf", 0, options))
	t.Cleanup(func() { must(t, unix.Unmount(dir, 0)) })
	return dir, []string{"LIBXDP_BPFFS=" + dir}
}

// byNobody runs a shell script as another user.
func byNobody(t *testing.T, script string, args ...string) {
	t.Helper()
	harness.MustRun(t, "setpriv", append([]string{"--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-ec", script}, args...)...)
}

// On a bpffs that anybody may write to, a user makes what xdpmux would make, so that it leads to
// a directory of somebody else. xdpmux refuses, names the owner, and removes nothing there.
func TestLinksInBPFFS(t *testing.T) {
	const link = `for id in $(seq $2 $(($2 + 40))); do ln -s "$1" "$0/xdp/dispatch-$3-$id"; done; ln -s "$1/precious" $0/xdp/prog-test-link-1`
	for name, c := range map[string]struct {
		script string // arguments: the bpffs, the victim's directory, a program's id, an interface's index
		root   bool   // xdp/ is root's, who made it for all
		want   string
	}{
		"a directory with links":    {script: `mkdir -m 0777 $0/xdp; ` + link, want: "belongs to user 65534"},
		"a link":                    {script: `ln -s "$1" $0/xdp`, want: "is a symbolic link"},
		"root's directory for all":  {script: link, root: true, want: "can be written by other users"},
		"a directory in root's":     {script: `for id in $(seq $2 $(($2 + 40))); do mkdir "$0/xdp/dispatch-$3-$id"; done`, root: true, want: "can be written by other users"},
		"an empty one of somebody":  {script: `mkdir $0/xdp`, want: "belongs to user 65534"},
		"a file where it should be": {script: `ln -s /nonesuch $0/xdp`, want: "is a symbolic link"},
	} {
		t.Run(name, func(t *testing.T) {
			harness.NoLeak(t)
			dir, env := newBPFFS(t, "")
			victim := t.TempDir()
			must(t, os.Chmod(filepath.Dir(victim), 0o755))
			must(t, os.WriteFile(victim+"/precious", []byte("x"), 0o600))
			v := harness.NewVeth(t)
			if c.root {
				must(t, os.Mkdir(dir+"/xdp", 0o700))
				must(t, os.Chmod(dir+"/xdp", 0o777))
			}
			harness.MustRun(t, "chmod", "0755", dir, victim, filepath.Dir(dir))
			must(t, os.Chmod(dir, 0o777|os.ModeSticky))
			latest := nextProgramID(t)
			byNobody(t, c.script, dir, victim, fmt.Sprint(latest), fmt.Sprint(v.Index))
			before := harness.Snapshot(t)
			for _, args := range [][]string{{"load", v.Name, pass}, {"load", v.Name, pass, pass}, {"clean"}, {"check", v.Name}} {
				stdout, stderr, exit := harness.RunEnv(t, env, ours(), args...)
				if exit != 1 || !strings.Contains(stdout+stderr, dir+"/xdp "+c.want) || !strings.Contains(stdout+stderr, "chmod 0700 "+dir) {
					t.Errorf("%s: exit status %d\n%s%s", args[0], exit, stdout, stderr)
				}
			}
			if text, err := os.ReadFile(victim + "/precious"); err != nil || string(text) != "x" {
				t.Errorf("the victim's file: %q, %v", text, err)
			}
			before.Check(t)
			// Pins that somebody else may have made tell nothing.
			if stdout, stderr, exit := harness.RunEnv(t, env, ours(), "status", v.Name); exit != 0 || !strings.Contains(stdout, "No XDP program") {
				t.Errorf("status: exit status %d\n%s%s", exit, stdout, stderr)
			}
		})
	}
}

// nextProgramID is the id that the next program gets.
func nextProgramID(t *testing.T) uint32 {
	t.Helper()
	v := harness.NewVeth(t)
	harness.MustRun(t, ours(), "load", v.Name, pass)
	id := status(t, v.Name, 0).Dispatcher.ID
	harness.MustRun(t, ours(), "unload", "-a", v.Name)
	return id + 1
}

// A pin path that somebody else has led away.
func TestLinksInPinPath(t *testing.T) {
	harness.NoLeak(t)
	dir, env := newBPFFS(t, "")
	v := harness.NewVeth(t)
	must(t, os.Mkdir(dir+"/elsewhere", 0o700))
	must(t, os.Symlink(dir+"/elsewhere", dir+"/maps"))
	_, stderr, exit := harness.RunEnv(t, env, ours(), "load", "-p", dir+"/maps", "-s", "xdp/good", v.Name, object("pinned"))
	if exit != 1 || !strings.Contains(stderr, dir+"/maps is a symbolic link") {
		t.Errorf("exit status %d: %s", exit, stderr)
	}
	must(t, os.Mkdir(dir+"/own", 0o700))
	must(t, os.Symlink(dir+"/elsewhere/pinned_packets", dir+"/own/pinned_packets"))
	_, stderr, exit = harness.RunEnv(t, env, ours(), "load", "-p", dir+"/own", "-s", "xdp/good", v.Name, object("pinned"))
	if exit != 1 || !strings.Contains(stderr, dir+"/own/pinned_packets is a symbolic link") {
		t.Errorf("exit status %d: %s", exit, stderr)
	}
}

// If the bpffs can't be written to, status shows everything, and what needs no pin works.
func TestReadOnlyBPFFS(t *testing.T) {
	harness.NoLeak(t)
	dir, env := newBPFFS(t, "mode=0700")
	v, other := harness.NewVeth(t), harness.NewVeth(t)
	mustRun := func(program string, args ...string) string {
		t.Helper()
		stdout, stderr, exit := harness.RunEnv(t, env, program, args...)
		if exit != 0 {
			t.Fatalf("%s %v: exit status %d\n%s%s", program, args, exit, stdout, stderr)
		}
		return stdout + stderr
	}
	readOnly := func() { harness.MustRun(t, "mount", "-o", "remount,ro", dir) }
	writable := func() { harness.MustRun(t, "mount", "-o", "remount,rw", dir) }

	// Without libxdp's directory.
	readOnly()
	v.Attach(t, harness.Program(t, harness.Pass), harness.Native)
	mustRun(ours(), "unload", "-a", v.Name)
	v.Attach(t, harness.Program(t, harness.Pass), harness.Native)
	mustRun("xdp-loader", "unload", "-a", v.Name)
	if got := mustRun(ours(), "clean"); strings.Contains(got, "warning") {
		t.Errorf("clean: %s", got)
	}

	writable()
	mustRun(ours(), "load", v.Name, pass, sample("xdp_drop"))
	mustRun(ours(), "load", other.Name, pass)
	before := mustRun(ours(), "status", v.Name)
	readOnly()
	if after := mustRun(ours(), "status", v.Name); after != before {
		t.Errorf("status, writable:\n%s\nread-only:\n%s", before, after)
	}
	_, stderr, exit := harness.RunEnv(t, env, ours(), "load", v.Name, pass)
	if exit != 1 || !strings.Contains(stderr, "mount -o remount,rw "+dir) {
		t.Errorf("load: exit status %d, %s", exit, stderr)
	}
	if after := mustRun(ours(), "status", v.Name); after != before {
		t.Errorf("status, before a load:\n%s\nafter:\n%s", before, after)
	}
	// It says what it leaves behind.
	said := mustRun(ours(), "unload", "-a", v.Name)
	if !strings.Contains(said, "warning: ") || !strings.Contains(said, dir+"/xdp/dispatch-") || !strings.Contains(said, "xdpmux clean") {
		t.Errorf("unload: %q", said)
	}
	v.Attach(t, harness.Program(t, harness.Pass), harness.Native)
	mustRun(ours(), "unload", "-a", v.Name)
	writable()
	mustRun(ours(), "clean")
	mustRun(ours(), "unload", "-a", other.Name)
}

// A chain has pins in the bpffs of another mount namespace, and here is no bpffs. unload takes
// the chain off its interface, and says that it stays loaded.
func TestUnloadWithoutBPFFS(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	for _, args := range [][]string{{"-a"}, {"-i"}} {
		harness.MustRun(t, ours(), "load", v.Name, pass)
		c := status(t, v.Name, 0)
		if args[0] == "-i" {
			args = append(args, fmtID(c.Programs[0].ID))
		}
		_, stderr, exit := run(t, withoutBPFFS, ours(), append(append([]string{"unload"}, args...), v.Name))
		if exit != 0 || !strings.Contains(stderr, "warning: the chain that was on "+v.Name+" stays loaded") || !strings.Contains(stderr, "xdpmux clean") {
			t.Errorf("unload %s: exit status %d, %q", args[0], exit, stderr)
		}
		if now := status(t, v.Name, 0); now.Dispatcher != nil {
			t.Errorf("unload %s: %+v", args[0], now)
		}
		there(t, c.Pins)
		harness.MustRun(t, ours(), "clean")
	}
}
