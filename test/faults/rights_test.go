package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/test/harness"
)

// withMoreRights copies a program to where everybody may start it, with more rights than
// they have.
func withMoreRights(t *testing.T, program string, capabilities bool) string {
	t.Helper()
	path, err := exec.LookPath(program)
	must(t, err)
	dir := t.TempDir()
	for parent := dir; parent != "/tmp"; parent = filepath.Dir(parent) {
		must(t, os.Chmod(parent, 0o755))
	}
	copied := filepath.Join(dir, filepath.Base(program))
	harness.MustRun(t, "cp", path, copied)
	if capabilities {
		harness.MustRun(t, "setcap", "cap_net_admin,cap_sys_admin,cap_bpf,cap_perfmon,cap_dac_override,cap_dac_read_search,cap_sys_resource+ep", copied)
	} else {
		must(t, os.Chmod(copied, 0o755|os.ModeSetuid))
	}
	return copied
}

var nobody = []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}

// If a program has more rights than its caller, the caller's environment can't tell it where the
// pins or libxdp's objects are. xdpmux and libxdp agree in that.
func TestEnvironmentOfOthers(t *testing.T) {
	file, err := filepath.Abs(pass)
	must(t, err)
	for name, program := range map[string]string{
		"xdpmux with a set-user-ID bit":     withMoreRights(t, ours(), false),
		"xdp-loader with a set-user-ID bit": withMoreRights(t, "xdp-loader", false),
		"xdpmux with file capabilities":     withMoreRights(t, ours(), true), // xdp-loader wants to be root
	} {
		for _, variable := range []string{"LIBXDP_BPFFS", "LIBXDP_SKIP_DISPATCHER", "LIBXDP_OBJECT_PATH"} {
			t.Run(name+", "+variable, func(t *testing.T) {
				harness.NoLeak(t)
				dir, _ := newBPFFS(t, "mode=0777")
				value := dir
				if variable == "LIBXDP_SKIP_DISPATCHER" {
					value = "1"
				}
				v := harness.NewVeth(t)
				as := append(append([]string{}, nobody...), "env", variable+"="+value, program)
				harness.MustRun(t, as[0], append(as[1:], "load", v.Name, file)...)
				c := status(t, v.Name, 0)
				if c.Dispatcher == nil {
					t.Fatalf("%+v", c)
				}
				there(t, fmt.Sprintf("/sys/fs/bpf/xdp/dispatch-%d-%d", v.Index, c.Dispatcher.ID))
				harness.MustRun(t, as[0], append(as[1:], "unload", "-a", v.Name)...)
				if made, err := os.ReadDir(dir); err != nil || len(made) > 0 {
					t.Errorf("in the caller's bpffs: %v, %v", made, err)
				}
			})
		}
	}
}

// Somebody links to an xdpmux that has root's rights, and lays another xdpmux-observe beside
// the link. Nothing starts that.
func TestObserverOfOthers(t *testing.T) {
	protected := "/proc/sys/fs/protected_hardlinks"
	before, err := os.ReadFile(protected)
	must(t, err)
	must(t, os.WriteFile(protected, []byte("0"), 0))
	t.Cleanup(func() { must(t, os.WriteFile(protected, before, 0)) })
	rightful := withMoreRights(t, ours(), false)
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	must(t, unix.Chown(dir, 65534, 65534))
	byNobody(t, `ln "$1" "$0/xdpmux"; printf '#!/bin/sh\nid -u >%s\n' "$0/started" >"$0/xdpmux-observe"; chmod 755 "$0/xdpmux-observe"`, dir, rightful)
	for _, args := range [][]string{{"stats", "lo"}, {"top"}, {"trace", "lo"}} {
		stdout, stderr, exit := harness.Run(t, nobody[0], append(append(nobody[1:], dir+"/xdpmux"), args...)...)
		if exit != 1 || !strings.Contains(stderr, args[0]+" needs xdpmux-observe, which xdpmux doesn't start") {
			t.Errorf("%q: exit status %d\n%s%s", args, exit, stdout, stderr)
		}
		if text, err := os.ReadFile(dir + "/started"); err == nil {
			t.Fatalf("started as user %s", text)
		}
	}
	// Started plainly, it runs the one that lies beside it.
	stdout, stderr, exit := harness.Run(t, ours(), "stats", "nonesuch")
	if exit != 1 || !strings.Contains(stderr, "no interface") {
		t.Errorf("exit status %d\n%s%s", exit, stdout, stderr)
	}
}
