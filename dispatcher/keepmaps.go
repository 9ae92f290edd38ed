package dispatcher

// keepMaps makes the programs that replace others use their maps, where that was
// asked for. It is done once: what has been chosen stays when a lost race is started
// over.
func (c *commit) keepMaps(old *openChain) error {
	for i, r := range c.Replace {
		o := c.replaces[i]
		if !r.KeepMaps || o.Kept != nil {
			continue
		}
		for _, m := range old.members() {
			if m.ID != r.ID {
				continue
			}
			if err := o.ChooseMaps(m.fd.Int(), m.Loaded); err != nil {
				return err
			}
		}
	}
	return nil
}
