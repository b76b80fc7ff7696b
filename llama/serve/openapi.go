package serve

func (c *call) openapi() error { return nil }
