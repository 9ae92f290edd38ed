package main

import (
	"io"
	"testing"

	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/registry"
	"github.com/xdpmux/xdpmux/test/jsondoc"
)

func TestJSONIsDocumented(t *testing.T) {
	jsondoc.Test(t, newApp(output.New(io.Discard, io.Discard)).Commands, map[string][]any{
		"image build":   {builtJSON{}},
		"image push":    {pushedJSON{}},
		"image pull":    {[]pulledJSON{}},
		"image inspect": {[]*registry.Info{}},
	})
}
