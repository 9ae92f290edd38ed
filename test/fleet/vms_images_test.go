package fleet

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/registry"
	"github.com/xdpmux/xdpmux/test/fleet/guest"
)

// startRegistry starts Debian's docker-registry.
func (c *vms) startRegistry() {
	c.t.Helper()
	address, err := freeAddress()
	if err != nil {
		c.t.Fatal(err)
	}
	dir := c.t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: '%s'}\n", dir, address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if c.hub, err = start(filepath.Join(dir, "log"), "docker-registry", "serve", config); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(c.hub.kill)
	_, c.registry, _ = net.SplitHostPort(address)
	c.eventually("the registry answers", func() bool {
		answer, err := http.Get("http://" + address + "/v2/")
		if err == nil {
			answer.Body.Close()
		}
		return err == nil
	})
}

// push puts an image of that tag into the registry: it holds a program that passes all.
func (c *vms) push(tag string) {
	c.t.Helper()
	data, err := os.ReadFile(repo(c.t, "build/bpf/fixtures/verdicts.o"))
	if err != nil {
		c.t.Fatal(err)
	}
	built, err := registry.Build(time.Unix(0, 0), registry.Source{File: tag + ".o", Data: data, Programs: map[string]string{"v_pass": "xdp"}})
	if err == nil {
		err = (&registry.Client{Dir: c.t.TempDir()}).Push(c.t.Context(), "oci://127.0.0.1:"+c.registry+"/xdp:"+tag, built)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// image is a program of an image.
func (c *vms) image(tag string) string {
	return fmt.Sprintf("{name: image, object: 'oci://%s:%s/xdp:%s', program: v_pass, priority: 50}", hostInVM, c.registry, tag)
}

// absentImage: a tag that isn't there is named, and what ran runs on. Then one comes that is there.
func (c *vms) absentImage() {
	c.edge(atOnce)
	c.says("edge", "Complete: 3 of 3")
	c.startRegistry()
	c.edge("{maxUnavailable: 1, confirm: 1}", c.image("v1"))
	c.says("edge", "TakenBack: node n0: ")
	const absent = "has no oci://"
	if out := c.rollout("edge"); !strings.Contains(out, absent) {
		c.t.Error(out)
	}
	c.event("edge", "TakenBack", absent)
	c.event("n0", "Failed", absent)
	c.everywhere(carried)
	c.push("v1")
	c.edge("{maxUnavailable: 1, confirm: 2}", c.image("v1"))
	c.says("edge", "Complete: 3 of 3")
	c.everywhere("front guard v_pass behind")
}

// hangingRegistry: a registry that says nothing holds up the chain that wants an image of it, and no
// other one.
func (c *vms) hangingRegistry() {
	c.push("v2")
	if err := c.hub.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		c.t.Fatal(err)
	}
	c.edge(atOnce, c.image("v2"))
	handed := "generation=" + c.generation() + " "
	c.eventually("n0 is to fetch it", func() bool { return strings.Contains(c.all[0].run("cat /root/log"), handed) })
	c.write("quiet", guest.Quiet, atOnce, pass("it"))
	c.says("quiet", "Complete: 3 of 3")
	if out := c.rollout("edge"); !strings.HasPrefix(out, "Progressing") {
		c.t.Errorf("the registry has answered, or the other chain waited for it: %s", out)
	}
	c.says("edge", "TakenBack: node n")
	if out := c.rollout("edge"); !strings.Contains(out, hostInVM) {
		c.t.Error(out)
	}
	c.everywhere("front guard v_pass behind")
	if err := c.hub.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		c.t.Fatal(err)
	}
	c.edge("{maxUnavailable: 3, confirm: 2}", c.image("v2"))
	c.says("edge", "Complete: 3 of 3")
	c.everywhere("front guard v_pass behind")
}
