# How much one address is let through. Cloudflare counts in each of its data centres by itself, and what comes at once within a window
# passes: the program's own limits, which are exact to the second, stay as they are.
resource "cloudflare_ruleset" "rates" {
  zone_id = var.zone_id
  name    = "Rampart: rates"
  kind    = "zone"
  phase   = "http_ratelimit"

  rules = [
    {
      ref         = "login"
      description = "Passwords"
      expression  = "${local.here} and http.request.method eq \"POST\" and http.request.uri.path eq \"/api/v1/session\""
      action      = "block"
      ratelimit = {
        characteristics     = ["ip.src", "cf.colo.id"]
        period              = var.login.seconds
        requests_per_period = var.login.requests
        mitigation_timeout  = var.login.seconds
      }
    },
    {
      ref         = "sign-up"
      description = "Invitations"
      expression  = "${local.here} and http.request.method eq \"POST\" and http.request.uri.path eq \"/api/v1/invitations/accept\""
      action      = "block"
      ratelimit = {
        characteristics     = ["ip.src", "cf.colo.id"]
        period              = var.sign_up.seconds
        requests_per_period = var.sign_up.requests
        mitigation_timeout  = var.sign_up.seconds
      }
    },
    {
      ref         = "address"
      description = "Anything"
      expression  = local.here
      action      = "block"
      ratelimit = {
        characteristics     = ["ip.src", "cf.colo.id"]
        period              = 10
        requests_per_period = 10 * var.address_rate
        mitigation_timeout  = 10
      }
    },
  ]
}
