package cmdline

import (
	"context"
	"slices"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
)

// ReadState reads state files and puts them together. "-" stands for standard input, whose paths
// begin at the working directory.
func ReadState(ctx context.Context, files []string) (*desired.State, error) {
	state := &desired.State{Interfaces: []desired.Interface{}}
	for _, file := range files {
		one, err := readOrStdin(ctx, file, desired.Parse, desired.Read)
		if err == nil {
			err = state.Add(one)
		}
		if err != nil {
			return nil, err
		}
	}
	return state, nil
}

// ReadCases reads files of cases, as ReadState does.
func ReadCases(ctx context.Context, files []string) ([]desired.Case, error) {
	var all []desired.Case
	for _, file := range files {
		some, err := readOrStdin(ctx, file, desired.ParseCases, desired.ReadCases)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// FromStdin says whether one of the files is standard input.
func FromStdin(files []string) bool { return slices.Contains(files, "-") }

func readOrStdin[T any](ctx context.Context, file string, parse func(ctx context.Context, name, dir string, data []byte) (T, error),
	read func(ctx context.Context, paths ...string) (T, error)) (T, error) {
	if file != "-" {
		return read(ctx, file)
	}
	data, err := ReadStdin(ctx, desired.FileLimit)
	if err != nil {
		var none T
		return none, err
	}
	return parse(ctx, StdinName, ".", data)
}
