package rates

import (
	"fmt"

	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/cmd/internal/picture"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

// Picture is the chain as it is drawn: what runs now, without what has left.
func (c Chain) Picture() picture.Chain {
	drawn := picture.Chain{Interface: output.Shown(c.Interface.Name), Counted: true}
	for _, p := range c.Programs {
		switch {
		case p.Gone:
			continue
		case p.Role == observe.RoleDispatcher:
			drawn.Total = picture.Rate{Packets: p.Packets, PerSecond: p.PerSecond}
			drawn.Note = fmt.Sprintf("dispatcher id %d", p.ID)
			continue
		case p.Role == observe.RoleLegacy:
			drawn.Total = picture.Rate{Packets: p.Packets, PerSecond: p.PerSecond}
			drawn.Note = "no dispatcher"
		}
		drawn.Programs = append(drawn.Programs, programPicture(p))
	}
	return drawn
}

func programPicture(p Program) picture.Program {
	drawn := picture.Program{Name: output.Shown(p.Name), Note: fmt.Sprintf("%s, id %d", p.Role, p.ID), Unseen: output.Shown(p.NotObserved),
		Total: picture.Rate{Packets: p.Packets, PerSecond: p.PerSecond}}
	if p.Priority != nil {
		drawn.Note = fmt.Sprintf("priority %d, id %d", *p.Priority, p.ID)
	}
	if p.Actions != nil {
		drawn.Passes = p.Actions.String()
	}
	for _, name := range observe.VerdictNames() {
		if v := p.Verdicts[name]; v.Packets > 0 {
			drawn.Verdicts = append(drawn.Verdicts, picture.Verdict{Name: name,
				Decided:  picture.Rate{Packets: v.Decided, PerSecond: v.DecidedPerSecond},
				HandedOn: picture.Rate{Packets: v.Packets - v.Decided, PerSecond: v.PerSecond - v.DecidedPerSecond}})
		}
	}
	return drawn
}
