data "aws_cloudfront_cache_policy" "none" {
  provider = aws.edge
  name     = "Managed-CachingDisabled"
}

data "aws_cloudfront_origin_request_policy" "all" {
  provider = aws.edge
  name     = "Managed-AllViewer"
}

data "aws_cloudfront_response_headers_policy" "secure" {
  provider = aws.edge
  name     = "Managed-SecurityHeadersPolicy"
}

# The load balancer has private addresses only: CloudFront comes from within its network, and of CloudFront only this account.
resource "aws_cloudfront_vpc_origin" "gateway" {
  provider = aws.edge

  vpc_origin_endpoint_config {
    name                   = "rampart"
    arn                    = var.load_balancer_arn
    http_port              = 80
    https_port             = 443
    origin_protocol_policy = "https-only"

    origin_ssl_protocols {
      items    = ["TLSv1.2"]
      quantity = 1
    }
  }
}

resource "aws_cloudfront_distribution" "edge" {
  # checkov:skip=CKV_AWS_305:the API has no page at its root
  # checkov:skip=CKV_AWS_310:there is one installation, and its own zones stand in for one another
  # checkov:skip=CKV_AWS_374:countries are left to a variable, and to the web ACL, which tells what it refused
  provider     = aws.edge
  enabled      = true
  comment      = "Rampart"
  aliases      = [var.hostname]
  http_version = "http2and3"
  web_acl_id   = aws_wafv2_web_acl.edge.arn

  origin {
    origin_id   = "gateway"
    domain_name = var.load_balancer_name

    vpc_origin_config {
      vpc_origin_id = aws_cloudfront_vpc_origin.gateway.id
      # Who follows events gets a sign of life every 15 s; everything else is answered within 30 s.
      origin_read_timeout      = 60
      origin_keepalive_timeout = 60
    }
  }

  default_cache_behavior {
    target_origin_id           = "gateway"
    viewer_protocol_policy     = "https-only"
    allowed_methods            = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    cached_methods             = ["GET", "HEAD"]
    cache_policy_id            = data.aws_cloudfront_cache_policy.none.id
    origin_request_policy_id   = data.aws_cloudfront_origin_request_policy.all.id
    response_headers_policy_id = data.aws_cloudfront_response_headers_policy.secure.id
    compress                   = false
  }

  viewer_certificate {
    acm_certificate_arn      = var.certificate_arn
    ssl_support_method       = "sni-only"
    minimum_protocol_version = "TLSv1.2_2021"
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  logging_config {
    bucket          = var.log_bucket
    include_cookies = false
    prefix          = "rampart/"
  }
}

# Who may reach the load balancer: CloudFront, and nobody else.
data "aws_ec2_managed_prefix_list" "cloudfront" {
  provider = aws.origin
  name     = "com.amazonaws.global.cloudfront.origin-facing"
}

resource "aws_vpc_security_group_ingress_rule" "edge" {
  provider          = aws.origin
  security_group_id = var.security_group_id
  description       = "CloudFront"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  prefix_list_id    = data.aws_ec2_managed_prefix_list.cloudfront.id
}

output "distribution" {
  description = "What the name has to lead to: an alias record"
  value       = aws_cloudfront_distribution.edge.domain_name
}

output "trusted_proxies" {
  description = "For RAMPART_TRUSTED_PROXIES, with the networks of the load balancer and of the Gateway's pods: otherwise everybody has the address of the edge, and one limit"
  value       = join(",", [for entry in data.aws_ec2_managed_prefix_list.cloudfront.entries : entry.cidr])
}
