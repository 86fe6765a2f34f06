package registry

import (
	"context"
	"net/http"
)

// CheckLogin asks a registry whether it takes the login of c, which has no
// repository. One that asks nobody takes any.
func CheckLogin(ctx context.Context, c Config) error {
	client, err := Dial(ctx, c)
	if err != nil {
		return err
	}
	defer client.Close()
	u := client.base
	u.Path = "/v2/"
	resp, err := client.do(ctx, &http.Request{Method: http.MethodGet, URL: &u}, http.StatusOK)
	if err != nil {
		return err
	}
	drain(resp.Body)
	return nil
}
