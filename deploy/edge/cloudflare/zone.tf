# Encrypted on both ways, with TLS 1.2 at least. These hold for the whole zone.
resource "cloudflare_zone_setting" "minimum_tls" {
  zone_id    = var.zone_id
  setting_id = "min_tls_version"
  value      = "1.2"
}

resource "cloudflare_zone_setting" "tls_1_3" {
  zone_id    = var.zone_id
  setting_id = "tls_1_3"
  value      = "on"
}

resource "cloudflare_zone_setting" "always_https" {
  zone_id    = var.zone_id
  setting_id = "always_use_https"
  value      = "on"
}

# The Gateway shows a certificate for the name that an authority vouches for, or nothing is sent there.
resource "cloudflare_zone_setting" "strict" {
  zone_id    = var.zone_id
  setting_id = "ssl"
  value      = "strict"
}

# Cloudflare shows the Gateway who it is. The Gateway has to want that: its implementation says how, with the authority of this certificate.
resource "cloudflare_authenticated_origin_pulls_certificate" "edge" {
  zone_id     = var.zone_id
  certificate = var.origin_pull_certificate
  private_key = var.origin_pull_private_key
}

resource "cloudflare_authenticated_origin_pulls_settings" "edge" {
  zone_id    = var.zone_id
  enabled    = true
  depends_on = [cloudflare_authenticated_origin_pulls_certificate.edge]
}

data "cloudflare_ip_ranges" "edge" {}

output "edge_networks" {
  description = "From where alone the firewall before the Gateway lets anybody in at port 443"
  value       = concat(data.cloudflare_ip_ranges.edge.ipv4_cidrs, data.cloudflare_ip_ranges.edge.ipv6_cidrs)
}

output "trusted_proxies" {
  description = "For RAMPART_TRUSTED_PROXIES, with the network of the Gateway's pods behind it: otherwise everybody has the address of the edge, and one limit"
  value       = join(",", concat(data.cloudflare_ip_ranges.edge.ipv4_cidrs, data.cloudflare_ip_ranges.edge.ipv6_cidrs))
}
