package main

import (
	"io"
	"testing"

	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/cmd/internal/rates"
	"github.com/xdpmux/xdpmux/test/jsondoc"
)

func TestJSONIsDocumented(t *testing.T) {
	jsondoc.Test(t, newApp(output.New(io.Discard, io.Discard)).Commands, map[string][]any{
		"stats": {rates.Report{}},
		"trace": {packetJSON{}, traceJSON{}, arrivedJSON{}, totalsJSON{}},
		// As plan and the commands that change chains print it, with --pcap.
		"rehearse": {[]rehearsalJSON{}},
		"test":     {[]caseJSON{}},
	})
}
