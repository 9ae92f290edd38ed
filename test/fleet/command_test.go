package fleet

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/test/harness"
)

// repo is where a file of the repository is.
func repo(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// kubeconfig is how somebody with that token reaches the API server at an address.
func (s *server) kubeconfig(address, token string) string {
	ca, err := os.ReadFile(s.file("certs/apiserver.crt"))
	if err != nil {
		panic(err) // the API server has made it
	}
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.url, "https://"))
	return fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: it
clusters: [{name: it, cluster: {server: "https://%s", tls-server-name: kubernetes.default.svc, certificate-authority-data: %s}}]
users: [{name: it, user: {token: %s}}]
contexts: [{name: it, context: {cluster: it, user: it}}]
`, net.JoinHostPort(address, port), base64.StdEncoding.EncodeToString(ca), token)
}

// own gives a process mounts of its own where it would meet what is on this machine, or leave
// something.
const own = `for dir in /run /var/lib; do mount -t tmpfs tmpfs $dir || exit; done; exec "$@"`

// command starts xdpmux-kube as make has built it, as somebody with that token, until the test ends.
// where is the namespace that it runs in; nil: the test's. log is what it writes.
func (f *fleet) command(where *harness.Netns, token string, args ...string) (p *process, log string) {
	f.t.Helper()
	dir := f.t.TempDir()
	log = filepath.Join(dir, "log")
	for file, text := range map[string]string{"kubeconfig": f.kubeconfig("127.0.0.1", token), "machine-id": "machine"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
	run := []string{repo(f.t, "build/xdpmux-kube"), args[0], "--kubeconfig", filepath.Join(dir, "kubeconfig")}
	if args[0] == "node" {
		run = append(run, "--machine-id", filepath.Join(dir, "machine-id"), "--state", filepath.Join(dir, "state"))
		flags := "-m"
		if os.Geteuid() != 0 {
			flags = "-rm"
		}
		run = append([]string{"unshare", flags, "sh", "-c", own, "sh"}, run...)
	}
	if where != nil {
		run = append([]string{"nsenter", "--net=" + where.Path()}, run...)
	}
	p, err := start(log, run[0], append(run[1:], args[1:]...)...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		p.kill()
		if f.t.Failed() {
			f.t.Logf("%s\n%s", args[0], file(f.t, log))
		}
	})
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
