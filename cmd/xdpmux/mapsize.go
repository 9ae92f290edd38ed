package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/dispatcher/inspect"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

var mapSizeFlag = &cli.StringSliceFlag{Name: "map-size", Usage: "make the map of this name with N entries, whatever the file says, as `NAME=N`; repeatable"}

// mapSizes reads mapSizeFlag. It returns nil if the flag isn't given.
func mapSizes(c *cli.Context) (map[string]uint32, error) {
	var sizes map[string]uint32
	for _, arg := range c.StringSlice("map-size") {
		name, text, ok := strings.Cut(arg, "=")
		n, err := strconv.ParseUint(text, 0, 32)
		if !ok || name == "" || err != nil || n == 0 {
			return nil, cmdline.UsageError(fmt.Sprintf("%q is not a map and its size", arg), "such as --map-size flows=65536")
		}
		if sizes == nil {
			sizes = map[string]uint32{}
		}
		sizes[name] = uint32(n)
	}
	return sizes, nil
}

// shareMapSizes gives each of several files the sizes of the maps that it has. A size for
// a map that no file has goes to the first one, whose load then fails and says so. The files
// are read for that, and what was read is what will be loaded.
func shareMapSizes(ctx context.Context, programs []xdp.Program) (err error) {
	if len(programs) < 2 || programs[0].MapSizes == nil {
		return nil
	}
	asked := programs[0].MapSizes
	found := map[string]bool{}
	for i := range programs {
		p := &programs[i]
		if p.Data == nil {
			if p.Data, err = inspect.ReadFile(ctx, p.File); err != nil {
				return err
			}
		}
		object, err := inspect.Read(p.File, p.Data)
		if err != nil {
			return err
		}
		own := map[string]uint32{}
		for _, m := range object.Maps {
			if size, ok := asked[m.Name]; ok {
				own[m.Name], found[m.Name] = size, true
			}
		}
		p.MapSizes = own
	}
	for name, size := range asked {
		if !found[name] {
			programs[0].MapSizes[name] = size
		}
	}
	return nil
}

// withMapSize adds to a remedy how a command that loads gives a map a size.
func withMapSize(err error) error { return sizedBy("--map-size NAME=N", err) }

// sizedBy adds to a remedy how a map is given a size.
func sizedBy(how string, err error) error {
	var e *xdp.Error
	if errors.As(err, &e) && e.Kind == xdp.ErrMapSize {
		told := *e
		told.Remedy += ": " + how
		return &told
	}
	return err
}
