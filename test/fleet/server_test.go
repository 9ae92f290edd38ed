package fleet

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// server is an API server with etcd behind it, on loopback.
type server struct {
	dir, url  string
	store     string // the address of etcd
	etcd, api *process
}

const adminToken = "admin"

var cluster *server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "xdpmux-fleet")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	cluster, err = newServer(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer cluster.close()
	return m.Run()
}

// process is one that runs, and writes to a file.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// starter starts all processes, by a thread that never ends: Pdeathsig comes when the thread ends that
// has started a process, and those of harness.Netns do.
var starter = func() chan<- func() {
	do := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range do {
			f()
		}
	}()
	return do
}()

func start(log, name string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	failed := make(chan error)
	starter <- func() { failed <- cmd.Start() }
	if err := <-failed; err != nil {
		return nil, err
	}
	p := &process{cmd, make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // it is killed
	}()
	return p, nil
}

func (p *process) kill() {
	if p != nil {
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// freeAddress is one of loopback that nobody listens at.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func newServer(dir string) (s *server, err error) {
	s = &server{dir: dir}
	var addresses [3]string
	for i := range addresses {
		if addresses[i], err = freeAddress(); err != nil {
			return nil, err
		}
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	keyFile := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(s.file("key"), keyFile, 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.file("tokens"), []byte(adminToken+",admin,1,system:masters\n"), 0o600); err != nil {
		return nil, err
	}
	s.url, s.store = "https://"+addresses[2], "http://"+addresses[0]
	s.etcd, err = start(s.file("etcd.log"), "etcd", "--data-dir", s.file("etcd"), "--unsafe-no-fsync", "--listen-client-urls", s.store,
		"--advertise-client-urls", s.store, "--listen-peer-urls", "http://"+addresses[1])
	if err != nil {
		return nil, err
	}
	if err := s.startAPI(); err != nil {
		s.close()
		return nil, err
	}
	for _, args := range [][]string{{"apply", "-k", "../../deploy"}, {"wait", "--for=condition=Established", "crd/xdpchains.xdpmux.io", "crd/xdpnodes.xdpmux.io"}} {
		if out, err := s.kubectl("", args...); err != nil {
			s.close()
			return nil, fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return s, nil
}

func (s *server) file(name string) string { return filepath.Join(s.dir, name) }

// startAPI starts the API server, and waits until it is ready.
func (s *server) startAPI() error {
	binary := os.Getenv("KUBE_APISERVER")
	if binary == "" {
		return fmt.Errorf("KUBE_APISERVER names no kube-apiserver: make test-fleet does")
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.url, "https://"))
	if err != nil {
		return err
	}
	s.api, err = start(s.file("api.log"), binary, "--etcd-servers", s.store, "--bind-address", "127.0.0.1", "--secure-port", port, "--cert-dir", s.file("certs"),
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", s.file("key"), "--service-account-signing-key-file", s.file("key"),
		"--token-auth-file", s.file("tokens"), "--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.0.0.0/24")
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: time.Second}
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		if answer, err := client.Get(s.url + "/readyz"); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-s.api.ended:
			log, _ := os.ReadFile(s.file("api.log"))
			return fmt.Errorf("the API server has ended:\n%s", log)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("the API server isn't ready after two minutes")
}

func (s *server) close() {
	s.api.kill()
	s.etcd.kill()
}

// config is how somebody with that token reaches the API server.
func (s *server) config(token string) *rest.Config {
	return &rest.Config{Host: s.url, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: 500, Burst: 1000}
}

// kubectl runs kubectl as the administrator.
func (s *server) kubectl(stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kubectl", append([]string{"--kubeconfig", "/dev/null", "--server", s.url, "--insecure-skip-tls-verify", "--token", adminToken, "--cache-dir", s.file("cache")}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}
