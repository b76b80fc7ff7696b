// Package python has what chat templates expect of Python: json.dumps, by which
// they show tools to a model, str.strip, and strftime.
package python
