package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
)

// Of jobs that run at once each one's output is in one piece, the first one's as it
// comes, and one that fails makes all fail.
func TestRunJobs(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second error
		want          string // the ends of the first and the second
	}{
		{"both pass", nil, nil, "ok ok"},
		{"the first fails", errors.New("panic"), nil, "FAIL ok"},
		{"the second fails", nil, exitStatus(1), "ok FAIL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var shown strings.Builder
			begun, ended := make(chan bool), make(chan bool)
			jobs := []job{
				func(out, _ io.Writer) error {
					fmt.Fprintln(out, "first begins")
					close(begun)
					<-ended
					if got := shown.String(); !strings.Contains(got, "first begins") || strings.Contains(got, "second") {
						t.Errorf("while the first runs: %q", got)
					}
					fmt.Fprintln(out, "first ends")
					return c.first
				},
				func(out, complaints io.Writer) error {
					<-begun
					fmt.Fprintln(out, "second begins")
					fmt.Fprintln(complaints, "second ends")
					close(ended)
					return c.second
				},
			}
			err := runJobs([]string{"6.1", "6.12"}, jobs, &shown)
			if (err != nil) != (c.first != nil || c.second != nil) {
				t.Errorf("error %v", err)
			}
			first, second, _ := strings.Cut(c.want, " ")
			said := ""
			if c.first != nil {
				said = "vm: panic\n"
			}
			want := "=== KERNEL 6.1\nfirst begins\nfirst ends\n" + said + "=== KERNEL 6.1: " + first + " in 0s\n" +
				"=== KERNEL 6.12\nsecond begins\nsecond ends\n=== KERNEL 6.12: " + second + " in 0s\n"
			if got := regexp.MustCompile(`in \d+s`).ReplaceAllString(shown.String(), "in 0s"); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}
