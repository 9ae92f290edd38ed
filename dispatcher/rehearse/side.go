package rehearse

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// side is one of the two chains, as a copy. Without programs it stands for an interface
// without XDP.
type side struct {
	programs []Program
	limits   [][]string // of each program

	maps      *mapSet
	assembled *dispatcher.Assembled
	replay    *observe.Replay
	passed    observe.Trace // what becomes of a packet without programs
}

// newSide copies a chain. Its maps begin with what those of the side begin with that was
// copied first; nil: it is the first one.
func newSide(ctx context.Context, on *dispatcher.Chain, sources []source, first *side) (_ *side, err error) {
	s := &side{maps: newMapSet()}
	if first != nil {
		s.maps.begins = first.maps
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if len(sources) == 0 {
		return s, nil
	}
	var programs []xdp.Program
	var shown []xdp.Loaded
	var unshown []limits
	for _, from := range sources {
		p, l, err := s.maps.program(ctx, from)
		if err != nil {
			return nil, err
		}
		programs, shown, unshown = append(programs, p), append(shown, from.shown), append(unshown, l)
	}
	// Programs that run have their order; others get it.
	opts := dispatcher.AssembleOptions{Version: on.Version, AsGiven: !sources[0].fresh}
	if s.assembled, err = dispatcher.Assemble(ctx, programs, opts); err != nil {
		return nil, err
	}
	copied := *s.assembled.Chain
	copied.Interface = on.Interface
	var inOrder []xdp.Loaded
	for place, p := range copied.Programs {
		i := s.assembled.Order[place]
		if sources[i].runs && p.Tag != shown[i].Tag {
			return nil, &xdp.Error{Kind: xdp.ErrObject, Msg: fmt.Sprintf("%v can't be copied: its copy has tag %s instead of %s", shown[i], p.Tag, shown[i].Tag)}
		}
		shown[i].Tag = p.Tag
		whys, err := unshown[i].of(p.ID)
		if err != nil {
			return nil, err
		}
		inOrder = append(inOrder, shown[i])
		s.limits = append(s.limits, whys)
		s.programs = append(s.programs, Program{Loaded: shown[i], File: sources[i].file(), Priority: p.Priority, Actions: p.Actions})
	}
	s.replay, err = observe.OpenReplayOf(&copied, inOrder, observe.AtChain)
	return s, err
}

func (s *side) maxLen() int {
	if s.replay == nil {
		return math.MaxInt
	}
	return s.replay.MaxLen()
}

func (s *side) run(packet []byte) (*observe.Trace, error) {
	if s.replay != nil {
		return s.replay.Run(packet)
	}
	s.passed = observe.Trace{Steps: []observe.Step{}, Verdict: xdp.Pass, Length: len(packet), Data: append(s.passed.Data[:0], packet...)}
	return &s.passed, nil
}

func (s *side) close() error {
	if s == nil {
		return nil
	}
	var errs []error
	if s.replay != nil {
		errs = append(errs, s.replay.Close())
	}
	if s.assembled != nil {
		errs = append(errs, s.assembled.Close())
	}
	s.maps.close()
	return errors.Join(errs...)
}
