package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
)

const (
	captureVeth    = "capt"
	captureRounds  = 5
	captureSeconds = 6
)

// capturing has the native tool and trace capture the same flood as it leaves a chain of two.
func capturing(ctx context.Context, w io.Writer) error {
	progress("capturing")
	if err := addPair(ctx, captureVeth); err != nil {
		return err
	}
	for _, name := range []string{captureVeth, captureVeth + "p"} {
		if err := do(ctx, "ip", "link", "set", name, "up"); err != nil {
			return err
		}
	}
	if err := loadPass(ctx, []string{captureVeth}, 2); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "xdpmux-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "capture.pcapng")
	tools := []struct {
		command     []string
		rates, lost []float64
	}{
		{command: []string{"xdpdump", "-i", captureVeth, "--rx-capture", "exit", "-w", file}},
		{command: []string{ours, "trace", captureVeth, "-w", file}},
	}
	for range captureRounds {
		for i := range tools {
			t := &tools[i]
			rate, lost, err := captured(ctx, t.command, file)
			if err != nil {
				return err
			}
			t.rates, t.lost = append(t.rates, rate), append(t.lost, lost)
		}
	}
	fmt.Fprintf(w, `
## Capturing

%s
Packets of 60 to 1500 bytes, as they leave a chain of two programs on a veth, under the same flood of %d seconds: the
median of %d rounds in turn. Both write whole packets, each with its length; trace prints a line of each, too. Lost is what
isn't in the file of what was sent.

| | packets a second | lost |
|---|---:|---:|
`, machine(), captureSeconds, captureRounds)
	for i, name := range []string{"xdpdump --rx-capture exit -w", "xdpmux trace -w"} {
		fmt.Fprintf(w, "| %s | %.0f | %.1f %% |\n", name, median(tools[i].rates), 100*median(tools[i].lost))
	}
	return do(ctx, ours, "unload", captureVeth, "-a")
}

// capturedLength is the length of packet n.
func capturedLength(n uint64) int { return 60 + int(n%1441) }

// captured runs a command that captures to a file until Ctrl-C, and floods it. It returns the packets
// a second in the file, and the part of those that were sent that isn't in it.
func captured(ctx context.Context, command []string, file string) (rate, lost float64, err error) {
	said, err := os.Create(file + ".out")
	if err != nil {
		return 0, 0, err
	}
	defer said.Close()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	stop := func() error {
		_ = cmd.Process.Signal(syscall.SIGINT)
		return cmd.Wait()
	}
	if err := listening(said); err != nil {
		return 0, 0, errors.Join(fmt.Errorf("%q: %w", command, err), stop())
	}
	ending, err := flood(captureVeth+"p", capturedLength)
	if err != nil {
		return 0, 0, errors.Join(err, stop())
	}
	time.Sleep(captureSeconds * time.Second)
	sent := ending()
	if err := stop(); err != nil {
		return 0, 0, fmt.Errorf("%q: %w", command, err)
	}
	n, err := recorded(file)
	if err != nil {
		return 0, 0, fmt.Errorf("%q: %w", command, err)
	}
	progress("%s: %d of %d packets", command[0], n, sent)
	return float64(n) / captureSeconds, 1 - float64(n)/float64(sent), os.Remove(file)
}

// listening waits until a tool captures. It sends packets, as trace says nothing before the first.
func listening(said *os.File) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if info, err := said.Stat(); err != nil || info.Size() > 0 {
			return err
		}
		if err := sendOne(captureVeth + "p"); err != nil {
			return err
		}
	}
	return errors.New("it doesn't begin to capture")
}

// recorded is how many packets of the flood are in the file, each once and whole.
func recorded(file string) (n int, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	r, err := pcapgo.NewNgReader(f, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		return 0, err
	}
	seen := map[uint64]bool{}
	for {
		data, info, err := r.ZeroCopyReadPacketData()
		if errors.Is(err, io.EOF) {
			return len(seen), nil
		}
		if err != nil {
			return 0, err
		}
		number, ok := floodNumber(data)
		if !ok {
			continue
		}
		if want := capturedLength(number); info.Length != want || info.CaptureLength != want || seen[number] {
			return 0, fmt.Errorf("packet %d of %d bytes is there with %d of %d, seen before: %v", number, want, info.CaptureLength, info.Length, seen[number])
		}
		seen[number] = true
	}
}
