package dispatcher

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/inspect"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/mutant"
)

// What an object file may cost, however it is damaged.
const (
	mutantTime   = time.Second // of a CPU
	mutantMemory = 256 << 20   // bytes
)

// mutantBatch is how many mutants one process reads.
const mutantBatch = 500

// TestMutants has damaged object files read, in processes of their own: none crashes,
// none takes more than it may, and each is read or refused by its name.
func TestMutants(t *testing.T) {
	seed, n, err := mutant.Choice(1000)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for first := 0; first < n; {
		done, good := readBatch(t, seed, first, min(first+mutantBatch, n))
		first, read = done, read+good
	}
	t.Logf("seed %d: %d of %d mutants are read, the others refused", seed, read, n)
	if read < n/20 || read > n*19/20 {
		t.Errorf("%d of %d mutants are read: what is done to them is too much or too little", read, n)
	}
}

const mutantEnv = "XDPMUX_TEST_MUTANT_BATCH"

// readBatch has a child read the mutants from first on, up to last. A mutant that ends
// the child fails the test, and the next batch goes on behind it.
func readBatch(t *testing.T, seed uint64, first, last int) (done, good int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestMutantBatch$", "-test.count=1")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %d", mutantEnv, seed, first, last))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaint strings.Builder
	cmd.Stderr = &complaint
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch verb, rest, _ := strings.Cut(lines.Text(), " "); verb {
		case "read", "refused":
			if done, err = strconv.Atoi(rest); err != nil {
				t.Fatal(err)
			}
			done++
			if verb == "read" {
				good++
			}
		case "wrong":
			t.Error(rest)
		}
	}
	if err := cmd.Wait(); err != nil && done < last {
		done = max(done, first)
		originals, readErr := mutantOriginals()
		if readErr != nil {
			t.Fatal(readErr)
		}
		text := complaint.String()
		t.Errorf("%v: %v\n%.1200s", mutant.Make(originals, seed, done), err, text)
		done++
	}
	return done, good
}

func mutantOriginals() ([]*mutant.Original, error) {
	return mutant.Read("../build/bpf", "../build/bpf/fixtures")
}

// TestMutantBatch is the child of TestMutants.
func TestMutantBatch(t *testing.T) {
	var seed uint64
	var first, last int
	if text := os.Getenv(mutantEnv); text == "" {
		t.Skip("only as the child of TestMutants")
	} else if _, err := fmt.Sscan(text, &seed, &first, &last); err != nil {
		t.Fatal(err)
	}
	originals, err := mutantOriginals()
	if err != nil {
		t.Fatal(err)
	}
	debug.SetGCPercent(50)
	dir := t.TempDir()
	for n := first; n < last; n++ {
		m := mutant.Make(originals, seed, n)
		file := filepath.Join(dir, "mutant-"+strconv.Itoa(n)+".o")
		if err := os.WriteFile(file, m.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		// Each mutant has its own high-water mark (proc(5)).
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
			t.Fatal(err)
		}
		before := cpuTime(t)
		err := readMutant(file)
		took, memory := cpuTime(t)-before, peakMemory(t)
		if took > mutantTime || memory > mutantMemory {
			fmt.Printf("wrong %v: %v and %d MiB\n", m, took, memory>>20)
		}
		var e *xdp.Error
		switch {
		case err == nil:
			fmt.Println("read", n)
		case !errors.As(err, &e) || !strings.Contains(err.Error(), file) || !errors.Is(err, xdp.ErrObject):
			fmt.Printf("wrong %v: %v\n", m, err)
			fallthrough
		default:
			fmt.Println("refused", n)
		}
		os.Remove(file)
	}
}

// readMutant opens an object file in every way that there is.
func readMutant(file string) error {
	read, err := inspect.Open(file)
	if err != nil {
		return err
	}
	for _, p := range read.Programs {
		if !p.XDP() {
			continue
		}
		o, err := object.Open(context.Background(), xdp.Program{File: file, Name: p.Name})
		if err != nil {
			return err
		}
		o.Close()
	}
	return nil
}

func cpuTime(t *testing.T) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// peakMemory is the most memory that the process has had, in bytes.
func peakMemory(t *testing.T) int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(status), "VmHWM:")
	kib := 0
	if _, err := fmt.Sscan(text, &kib); err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
