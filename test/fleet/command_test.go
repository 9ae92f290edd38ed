package fleet

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// command starts xdpmux-kube as somebody with that token, until the test ends. log is what it
// writes.
func (f *fleet) command(token string, args ...string) (p *process, log string) {
	f.t.Helper()
	binary := os.Getenv("XDPMUX_KUBE")
	if binary == "" {
		f.t.Fatal("XDPMUX_KUBE names no xdpmux-kube: make test-fleet does")
	}
	dir := f.t.TempDir()
	config := filepath.Join(dir, "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],
		"clusters":[{"name":"c","cluster":{"server":%q,"insecure-skip-tls-verify":true}}],"users":[{"name":"u","user":{"token":%q}}]}`, f.url, token)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	name, node := binary, args[0] == "node"
	args = append([]string{args[0], "--kubeconfig", config}, args[1:]...)
	if node {
		id := filepath.Join(dir, "machine-id")
		if err := os.WriteFile(id, []byte("machine"), 0o600); err != nil {
			f.t.Fatal(err)
		}
		args = append(args, "--machine-id", id, "--state", filepath.Join(dir, "state"))
		// With a /run of its own it meets no other agent, and leaves nothing.
		own := "-m"
		if os.Geteuid() != 0 {
			own = "-rm"
		}
		name, args = "unshare", append([]string{own, "sh", "-c", `mount -t tmpfs tmpfs /run && exec "$@"`, "sh", binary}, args...)
	}
	log = filepath.Join(dir, "log")
	p, err := start(log, name, args...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(p.kill)
	return p, log
}

// memory is how much a process has, and has had at most, in MiB.
func (f *fleet) memory(p *process) (now, most float64) {
	f.t.Helper()
	for line := range strings.Lines(f.proc(p, "status")) {
		key, value, _ := strings.Cut(line, ":")
		to := map[string]*float64{"VmRSS": &now, "VmHWM": &most}[key]
		if to == nil {
			continue
		}
		kib, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
		if err != nil {
			f.t.Fatal(err)
		}
		*to = kib / 1024
	}
	return now, most
}

// cpu is how much time of processors a process has taken.
func (f *fleet) cpu(p *process) (all time.Duration) {
	f.t.Helper()
	_, rest, _ := strings.Cut(f.proc(p, "stat"), ") ")  // after the name
	for _, ticks := range strings.Fields(rest)[11:13] { // utime and stime of proc(5)
		n, err := strconv.Atoi(ticks)
		if err != nil {
			f.t.Fatal(err)
		}
		all += time.Duration(n) * 10 * time.Millisecond // USER_HZ
	}
	return all
}

func (f *fleet) proc(p *process, file string) string {
	f.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}
