// Package harness helps tests that need a real kernel with freplace, and root: veth
// pairs to send frames through, network namespaces, and the proof that a test left
// nothing behind. `make test` runs such tests in a VM, where nothing skips, and
// `make test-native` on this host.
//
// A test package opts in by importing this package and with
//
//	func TestMain(m *testing.M) { harness.Main(m) }
package harness

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// settleTime is how long a check waits for the kernel to free what was let go.
// Programs and maps are freed after an RCU grace period by a kernel worker, and
// nothing tells when: on an idle machine it takes milliseconds.
const settleTime = 10 * time.Second

// Main is the body of TestMain. Without XDPMUX_KERNEL_TESTS=1 it runs no test and
// says how to run them. With it, it runs the tests and then fails the package if
// they leaked a file descriptor, a BPF program, map or link, a pin, a network
// interface or a named network namespace.
func Main(m *testing.M) {
	if os.Getenv("XDPMUX_KERNEL_TESTS") != "1" {
		fmt.Println(`integration tests need root and a kernel with freplace: run them with "make test" (VM) or "make test-native"`)
		os.Exit(0)
	}
	// /proc/self/ns shows the namespaces of the first thread. This goroutine keeps that
	// thread, so no test can move it to another namespace.
	runtime.LockOSThread()

	before, err := TakeState()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kernel: state before the tests:", err)
		os.Exit(1)
	}
	status := m.Run()
	leaks, err := before.settle(settleTime)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kernel: state after the tests:", err)
		os.Exit(1)
	}
	for _, leak := range withMapNames(leaks) {
		fmt.Fprintln(os.Stderr, "kernel: the tests left behind:", leak)
		status = 1
	}
	os.Exit(status)
}
